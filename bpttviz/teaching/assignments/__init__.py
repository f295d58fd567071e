"""Graded assignments: what a student's copy imports, how copies are made, how they are graded.

A student needs `library` and what it reads. `build` and `grade` use otter-grader (the
extra "grading"), each in a process of its own, so that this package never imports it.
"""
