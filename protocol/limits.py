# SPDX-License-Identifier: Apache-2.0
"""Every bound of the protocol, in one place. What is larger is refused before it is allocated."""

PROTOCOL_VERSION = 4

# A message
MAX_ENVELOPE_BYTES = 8 << 20      # frame 0
MAX_ENVELOPE_ITEMS = 400_000      # values in frame 0: 400,000 empty lists are 25 MB of Python objects
MAX_ENVELOPE_DEPTH = 8            # envelope > body > scene > cameras > camera > K > number is 7
MAX_ARRAYS = 8                    # frames 1..n
MAX_ARRAY_BYTES = 1 << 30         # one array; 40 M vertices are 0.5 GB
MAX_INFLATED_BYTES = 128 << 20    # one array that comes compressed
MAX_DIMENSIONS = 4
MAX_REQUEST_FRAME_BYTES = 256 << 20   # a server reads no larger frame from the wire

# Values
MAX_COUNT = 2**53 - 1             # integers that JSON and doubles keep exactly
MAX_NAME = 200
MAX_TEXT = 4_000                  # one error, hint or description
MAX_LOG = 400_000
MAX_PATH = 400
MAX_PATH_PART = 150
MAX_JOB_ID = 40
MAX_SETTINGS = 500
MAX_SETTING_TEXT = 1_000
MAX_SETTING_LIST = 64
MAX_PRESETS = 16
MAX_CAPABILITIES = 64
MAX_PICTURE_SIDE = 8_192
MAX_PREVIEW_BYTES = 4 << 20
MAX_IMAGE_SIDE = 65_536
MAX_WAIT_S = 120.0                # a long poll
MAX_LOG_LINES = 5_000

# Lists
MAX_HASHES = 20_000               # in one question; ask again for more
MAX_SCENE_FILES = 50_000
MAX_SCENE_CAMERAS = 10_000
MAX_SURFACE_PARTS = 1_000        # objects whose splats are drawn at once
MAX_SURFACE_SOURCES = 100        # reconstructions of them
MAX_JOBS = 5_000
MAX_FILES = 20_000
MAX_PROBLEMS = 10                 # of one photo
MAX_ADVICE = 50

# Transfers
MAX_CHUNK_BYTES = 4 << 20         # data of one blob.put or file.chunk
MAX_BLOB_BYTES = 64 << 30
