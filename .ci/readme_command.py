"""Print the command that README.md marks with ``<!-- command N -->``, so that what is tested cannot drift from it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

readme = Path(__file__).parent.parent / "README.md"
number = sys.argv[1]
found = re.search(rf"<!-- command {number} -->\s*```\w*\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
if found is None:
    sys.exit(f"README.md has no fenced block after <!-- command {number} -->")
sys.stdout.write(found.group(1))
