"""The contract that relaxing through a potential relies on, and how it is measured."""
