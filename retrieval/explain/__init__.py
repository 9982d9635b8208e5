"""Where in a picture a match comes from, as a heat map and as boxes."""

from retrieval.explain.drawing import check_out, write_heat_map
from retrieval.explain.explaining import Explanation, explain
from retrieval.explain.heat import Method
from retrieval.explain.regions import Region

__all__ = ["Explanation", "Method", "Region", "check_out", "explain", "write_heat_map"]
