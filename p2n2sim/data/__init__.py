"""Data sets: where they are found, how they are read, split by rows and by columns, and scaled."""

from p2n2sim.data.catalogue import Entry, catalogue, load
from p2n2sim.data.find import locate
from p2n2sim.data.prepare import prepare
from p2n2sim.data.sets import Dataset, Table
from p2n2sim.data.split import columns, columns_by_name, holder_names

__all__ = [
    "Dataset",
    "Entry",
    "Table",
    "catalogue",
    "columns",
    "columns_by_name",
    "holder_names",
    "load",
    "locate",
    "prepare",
]
