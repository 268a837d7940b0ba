"""From archives to arrays: readers, decoding, preparation, splits, draws."""
