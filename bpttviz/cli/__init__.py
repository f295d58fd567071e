"""The commands of ``python -m bpttviz``, one a module: ``HELP``, ``configure`` and ``run``.

Nothing heavy is imported before a command runs, so that --help is instant.
"""
