"""The paper's claims, each decided by a rule from rows of evidence; and how rows are computed."""
