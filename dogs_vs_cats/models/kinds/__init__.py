"""The kinds of models: what each learns from, how it is built, and how it takes photos. A new kind is a module here."""
