"""Sends MuJoCo's warnings to `logging`: left alone they go to stderr and to a MUJOCO_LOG.TXT in the present folder."""

from __future__ import annotations

import logging

import mujoco

_log = logging.getLogger(__name__)


def _on_warning(message: object) -> None:
    # Divergence is reported by the environment, and the rest is about other people's models: nothing to shout about.
    _log.info("MuJoCo: %s", message)


def route_messages() -> None:
    """Install the handler, in place of MuJoCo's own or dm_control's."""
    mujoco.set_mju_user_warning(_on_warning)
