"""Made recordings of moving bodies, written in the raw formats of the real datasets."""

from ikem.synthetic.ntu import clips, write_ntu
from ikem.synthetic.pkummd import write_pkummd
from ikem.synthetic.settings import SyntheticSettings

__all__ = ["SyntheticSettings", "clips", "write_ntu", "write_pkummd"]
