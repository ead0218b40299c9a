"""``python -m hawq``."""

from __future__ import annotations

from hawq.cli import main

if __name__ == "__main__":
    main()
