"""Expression of cells under perturbations: what a cell would have expressed under another one."""
