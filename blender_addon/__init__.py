# SPDX-License-Identifier: GPL-3.0-or-later
"""MILo: photos in, a living mesh out."""

from . import engine, heartbeat, operators, panels, preferences, properties, session, splat_settings


def register() -> None:
    preferences.register()
    properties.register()
    splat_settings.register()
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
    splat_settings.unregister()
    properties.unregister()
    preferences.unregister()
