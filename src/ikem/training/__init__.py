"""The models that are trained and the loops that train them."""
