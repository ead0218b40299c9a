from witness import assert_exact


def test_networks_on_vectors_and_sequences_are_exact(fuzz):
    fuzz(lambda network: assert_exact(network.model, network.inputs()), 1, 2)
