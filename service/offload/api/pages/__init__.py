"""Pages for people: the start page, `/docs`, what a problem type means, and what to do if a key is missing.

They are made here and styled by files of ours; a browser loads nothing from another origin.
"""
