# SPDX-License-Identifier: GPL-3.0-or-later
"""MILo: photos in, a living mesh out."""

from . import engine, heartbeat, operators, panels, preferences, properties, session


def register() -> None:
    preferences.register()
    properties.register()
    operators.register()
    panels.register()
    engine.register()
    heartbeat.register()


def unregister() -> None:
    heartbeat.unregister()
    session.unregister()
    engine.unregister()
    panels.unregister()
    operators.unregister()
    properties.unregister()
    preferences.unregister()
