from witness import assert_exact


def test_networks_on_images_are_exact(fuzz):
    fuzz(lambda network: assert_exact(network.model, network.inputs()), 3)
