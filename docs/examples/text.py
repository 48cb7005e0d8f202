"""FixMatch on text with a transformer of Hugging Face, and Manifold Mixup of its embeddings with DM."""

import torch
from transformers import BertConfig, BertForSequenceClassification

from ssl_mix import Batch, Nets, Samples, Step, Task, Teacher
from ssl_mix.algorithms import FixMatch
from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import ManifoldMix
from ssl_mix.models import adapt

MASK, WORDS, LENGTH, TOPICS = 0, 40, 12, 3


class Classifier(BertForSequenceClassification):
    """Logits of token ids, and nothing else."""

    def forward(self, ids):
        return super().forward(input_ids=ids).logits


def word_dropout(ids, share):
    return ids.masked_fill(torch.rand(ids.shape) < share, MASK)


def texts(count):
    """Half of the words are of any kind, half of the topic."""
    topics, words = torch.arange(count) % TOPICS, torch.randint(1, WORDS, (count, LENGTH))
    own = 1 + topics[:, None] + TOPICS * torch.randint((WORDS - 1) // TOPICS, (count, LENGTH))
    return torch.where(torch.rand(count, LENGTH) < 0.5, own, words), topics


torch.manual_seed(0)
(x, y), (u, _), (test, truth) = texts(60), texts(2000), texts(500)
algorithm, dm = FixMatch(threshold=0.8), DecoupledMixupLoss(eta=0.1)
mixer = ManifoldMix(layers=("body.bert.embeddings",))
size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
config = BertConfig(vocab_size=WORDS, num_labels=TOPICS, hidden_dropout_prob=0.0, **size)
model = Classifier(config)  # or Classifier.from_pretrained(NAME, num_labels=TOPICS), with its tokenizer
net = algorithm.extend(adapt(model), Task(TOPICS, len(u), (LENGTH,)))
teacher, optimizer = Teacher(net, decay=0.99), torch.optim.AdamW(net.parameters(), lr=2e-3)
for number in range(100):
    labeled, more = torch.randint(len(x), (12,)), u[torch.randint(len(u), (48,))]
    views = {"weak": word_dropout(more, 0.1), "strong": word_dropout(more, 0.3)}
    batch = Batch(Samples({"weak": x[labeled]}, target=y[labeled]), Samples(views))
    loss = algorithm(Nets(net, teacher.net), batch, Step(number, total=100)).loss
    with mixer.applied(net, x[labeled], y[labeled]) as mixed:
        loss = loss + dm(net(mixed.images), mixed.target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    teacher.update(number)

print(f"accuracy {(teacher(test).argmax(dim=1) == truth).float().mean():.3f}")
