"""Where uploads lie until they are validated."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.settings import Settings


def staging_folder(settings: Settings, job_id: str) -> Path:
    """Return where a job's upload lies until it is validated."""
    return settings.folder("staging") / job_id


def discard_staging(settings: Settings, job_id: str) -> None:
    """Remove a job's upload."""
    shutil.rmtree(staging_folder(settings, job_id), ignore_errors=True)
