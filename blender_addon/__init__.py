# SPDX-License-Identifier: GPL-3.0-or-later
"""MILo: photos in, a living mesh out."""

from . import (
    engine,
    finish_properties,
    heartbeat,
    live_view,
    operators,
    panels,
    preferences,
    properties,
    session,
    splat_settings,
)
from .scene import pictures


def register() -> None:
    preferences.register()
    properties.register()
    splat_settings.register()
    finish_properties.register()
    pictures.register()
    operators.register()
    panels.register()
    engine.register()
    live_view.register()
    heartbeat.register()


def unregister() -> None:
    heartbeat.unregister()
    session.unregister()
    live_view.unregister()
    engine.unregister()
    panels.unregister()
    operators.unregister()
    pictures.unregister()
    finish_properties.unregister()
    splat_settings.unregister()
    properties.unregister()
    preferences.unregister()
