# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the backend: its process, the socket, what goes over it. Imports no bpy."""
