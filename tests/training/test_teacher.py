import numpy as np
import torch

from hawq.training.teacher import teach


def test_no_network_learns_the_labels_of_its_own_fold():
    # Labels are noise: what is learnt by heart cannot show in samples left out.
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(300, 4, generator=generator)
    y = torch.randint(2, (300,), generator=generator)
    p = teach(x, torch.nn.functional.one_hot(y, 2).float(), hidden=(64,), batch=60)
    assert abs((p.argmax(1) == y).float().mean().item() - 0.5) < 0.12
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)


def test_what_can_be_learnt_is_learnt():
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(2))
    y = (x[:, 0] > 0).long()
    p = teach(x, torch.nn.functional.one_hot(y, 2).float(), hidden=(16,), batch=100)
    assert (p.argmax(1) == y).float().mean().item() > 0.95
