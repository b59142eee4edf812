import numpy as np

from epistax.distributed.response import methods
from epistax.distributed.response.graphs import GeneGraph
from epistax.engine.nets.regulation import Edges


def test_a_graph_with_more_regulators_than_are_modelled_is_said_to_be_one():
    many = Edges(np.arange(300), np.arange(300) + 1)
    graph = GeneGraph(many, ("300 edges",))
    assert methods.remarks(("graphvci",), graph) == ("300 edges",)
    lines = methods.remarks(("default", "graphvci"), graph)
    assert lines[0] == "300 edges" and "300 regulators are more than the 256" in lines[1]
    few = GeneGraph(Edges(many.source[:9], many.target[:9]), ())
    assert methods.remarks(("default",), few) == ()
    assert "no --graph" in methods.remarks(("graphvci",), None)[0]
