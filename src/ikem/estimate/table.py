"""The rates of a table: what jobs take besides training, and what every process takes.

Of the demo and of the parts of `docs/performance.md`, on two cores of an AMD EPYC with AVX-512.
"""

START = 2.0
"""Seconds of a job before its clock starts: Snakemake, the interpreter, the package."""
FIXED = {
    **dict.fromkeys(("acquire", "split", "label_subset"), 0.2),
    **{"prepare": 1.0, "modality": 2.0, "decode": 5.5, "make_ntu": 1.0, "make_pkummd": 1.0},
    **{"embed": 2.5, "embed_target": 2.5, "train": 2.5, "evaluate": 2.0},
}
"""Seconds that a job takes whatever its size is: importing PyTorch or numba, digests. By kind, or by group."""
PER_CLIP = {"make_ntu": 9e-3, "make_pkummd": 25e-3, "decode": 1.6e-3, "prepare": 1.2e-4, "modality": 1.3e-4}
"""Seconds of a clip, of jobs that train nothing."""
LINEAR = 2.6e-6
"""Seconds of a clip and modality, for each epoch of the linear evaluation."""
NEIGHBOR = 7.5e-9
"""Seconds of a pair of clips and modality, of nearest neighbors."""
PRESENT = 1.3
"""Bodies of a clip that are there, of two: others are embedded once for all. (Demo: 1.29.)"""
BASE_MEMORY, TRAINING_MEMORY = 360 * 2**20, 470 * 2**20
"""Bytes of a process that has imported PyTorch, and of one that trains."""
HEAP = 1.7
"""Memory of a process for each byte that operations need at the same time: workspaces, and what the heap keeps."""
