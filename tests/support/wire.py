"""The recorded responses of the predecessor."""

from __future__ import annotations

import json
from pathlib import Path

RECORDED = json.loads((Path(__file__).parents[1] / "wire" / "rest_api_plugin_1.0.9.json").read_text(encoding="utf-8"))


EXCHANGES = RECORDED["exchanges"]
