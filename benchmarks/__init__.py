"""Side-by-side measurements with peers, printed as ratios; run with `make bench`."""
