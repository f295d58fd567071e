"""``python -m bpttviz``: the same as the console script ``bpttviz``."""

from bpttviz.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
