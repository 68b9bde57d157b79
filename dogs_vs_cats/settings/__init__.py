"""``params.yaml`` as strict models, the search space, the catalogue of networks."""
