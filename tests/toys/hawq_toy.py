"""The command line of hawq, with the toy stages."""

from __future__ import annotations

from toy.line import TOYS

import hawq.line

hawq.line.STAGES = TOYS

if __name__ == "__main__":
    from hawq.cli import main

    main()
