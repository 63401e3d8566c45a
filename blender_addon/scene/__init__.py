# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that reads or writes bpy.data. Knows nothing of sockets."""
