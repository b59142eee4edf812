import numpy as np

from epistax.engine.nets.regulation import Edges
from epistax.engine.response.roles import ITSELF, REST, SECOND, TARGET, classes


def test_genes_are_what_the_graph_makes_them():
    graph = Edges(np.array([0, 1, 3]), np.array([1, 2, 0]))
    arms = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], float)
    role = classes(graph, np.array([-1, 0, 3]), arms, 5)
    np.testing.assert_array_equal(role[0], REST)
    np.testing.assert_array_equal(role[1], [ITSELF, TARGET, SECOND, REST, REST])
    np.testing.assert_array_equal(role[2], [TARGET, SECOND, REST, ITSELF, REST])
    np.testing.assert_array_equal(role[3], [ITSELF, TARGET, SECOND, ITSELF, REST])
    assert (classes(None, None, arms, 5) == REST).all()
