"""Fine-tuning: a transformers Trainer with one cross-entropy a task over one row of logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from inference.classifier import kept_tokens
from inference.labels import id2label_from_tasks
from training.augment import Augment, augment_pair, augmenter
from training.config import RunConfig
from training.corpus import Example
from training.group_loss import GroupedBatches, contrast_codes, group_loss
from training.vocabulary_loss import NOT_HIDDEN, VocabularyLoss

Logits = npt.NDArray[np.float32]

#: Shorter rows keep all their pieces: without its one verb, « Paris salue la levée » has no label.
HIDDEN_FROM = 48


class EncodedRows(torch.utils.data.Dataset[dict[str, Any]]):
    """Tokenised examples; ``labels`` holds one label index a task, −100 where a row has none, then its contrast group.

    At each reading of a row ``augment`` may change its text, and a share ``hidden`` of the pieces is replaced by the
    mask token; both draw from torch's generator. With ``tell_hidden`` a reading also holds ``pieces``, the ids that
    were hidden. ``rows`` are the examples as they are.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: Any,
        tasks: Sequence[str],
        max_length: int,
        hidden: float = 0.0,
        augment: Augment | None = None,
        tell_hidden: bool = False,
    ) -> None:
        self.tell_hidden = tell_hidden
        self.examples, self.tokenizer, self.max_length, self.augment = examples, tokenizer, max_length, augment
        self.hidden, self.mask, self.special = hidden, tokenizer.mask_token_id, set(tokenizer.all_special_ids)
        self.groups = contrast_codes(examples)
        self.rows: list[dict[str, Any]] = []
        for example, group in zip(examples, self.groups, strict=True):
            labels = [example.gold[task] if example.gold[task] >= 0 else -100 for task in tasks]
            self.rows.append({**self._encode(example.pair, example.text), "labels": [*labels, group]})

    def _encode(self, pair: str | None, text: str) -> dict[str, list[int]]:
        # Cut by the code that scores: training must see of a pair what scoring will see.
        encoded = self.tokenizer(*([text] if pair is None else [pair, text]))
        context = 0 if pair is None else encoded.sequence_ids().count(0)
        kept = kept_tokens(len(encoded["input_ids"]), context, self.max_length)
        return {name: [values[place] for place in kept] for name, values in encoded.items()}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        if self.augment is not None:
            example = self.examples[index]
            rng = np.random.default_rng(int(torch.randint(2**62, ())))
            pair, text = augment_pair(self.augment, example.pair, example.text, rng)
            if (pair, text) != (example.pair, example.text):
                row = {**self._encode(pair, text), "labels": row["labels"]}
        ids = row["input_ids"]
        if not self.hidden or len(ids) < HIDDEN_FROM:
            return row
        draws = torch.rand(len(ids)).tolist()
        chosen = [
            self.mask if draw < self.hidden and piece not in self.special else piece
            for piece, draw in zip(ids, draws, strict=True)
        ]
        read = {**row, "input_ids": chosen}
        if self.tell_hidden:
            pairs = zip(ids, chosen, strict=True)
            read["pieces"] = [NOT_HIDDEN if piece == kept else piece for piece, kept in pairs]
        return read


class Collate:
    """Pad a batch to its longest row, rounded up to eight tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors of shape (rows, width), hidden pieces among them if told, and labels of shape (rows, tasks + 1)."""
        inputs = [{name: value for name, value in row.items() if name not in ("labels", "pieces")} for row in rows]
        batch: dict[str, torch.Tensor] = self.tokenizer.pad(inputs, return_tensors="pt", pad_to_multiple_of=8)
        if any("pieces" in row for row in rows):
            told = torch.full_like(batch["input_ids"], NOT_HIDDEN)
            for number, row in enumerate(rows):
                pieces = torch.tensor(row.get("pieces", []), dtype=told.dtype)
                told[number, : len(pieces)] = pieces
            batch["pieces"] = told
        return {**batch, "labels": torch.tensor([row["labels"] for row in rows])}


def task_loss(config: RunConfig) -> Callable[..., torch.Tensor]:
    """The Trainer's loss: the weighted sum over tasks of cross-entropy inside the task's group of logits.

    With ``train.contrastive`` the loss between members of a contrast group joins it, under the same weights.
    """
    parts, start = [], 0
    for task in config.learnt_tasks.values():
        parts.append((slice(start, start + len(task.labels)), task.weight))
        start += len(task.labels)
    entropy = nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=config.train.label_smoothing)
    contrastive = config.train.contrastive

    def loss(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits: torch.Tensor = outputs["logits"].float()
        total = logits.new_zeros(())
        for number, (columns, weight) in enumerate(parts):
            if bool((labels[:, number] >= 0).any()):
                total = total + weight * entropy(logits[:, columns], labels[:, number])
            if contrastive:
                total = total + weight * contrastive * group_loss(logits[:, columns], labels[:, number], labels[:, -1])
        return total

    return loss


def open_tokenizer(encoder: str) -> Any:
    """The encoder's tokenizer; raises OSError with transformers' own message where it cannot be had."""
    return AutoTokenizer.from_pretrained(encoder)


def build_model(config: RunConfig, seed: int) -> Any:
    """A plain sequence classifier with ``task=label`` names; seeded before its heads are made."""
    set_seed(seed)
    encoder = config.model.encoder
    assert encoder is not None
    id2label = id2label_from_tasks({name: task.labels for name, task in config.learnt_tasks.items()})
    settings = AutoConfig.from_pretrained(encoder)
    settings.num_labels = len(id2label)
    settings.id2label = id2label
    settings.label2id = {label: index for index, label in id2label.items()}
    settings.problem_type = "single_label_classification"
    for name in ("classifier_dropout", "mlp_dropout", "embedding_dropout", "hidden_dropout_prob"):
        if hasattr(settings, name):
            setattr(settings, name, config.train.dropout)
    auto: Any = AutoModelForSequenceClassification
    if config.model.from_scratch:
        return auto.from_config(settings, attn_implementation="eager").float()
    return auto.from_pretrained(encoder, config=settings, dtype=torch.float32, attn_implementation="eager")


def parameter_groups(model: nn.Module, config: RunConfig) -> list[dict[str, Any]]:
    """Layer-wise learning rates (Howard & Ruder 2018): the head at the peak, each layer below × ``layer_decay``."""
    import re

    depths = [
        int(match.group(1)) for name, _ in model.named_parameters() if (match := re.search(r"layers?\.(\d+)\.", name))
    ]
    deepest = max(depths, default=0) + 1
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        match = re.search(r"layers?\.(\d+)\.", name)
        above = deepest - int(match.group(1)) if match else (deepest + 1 if "embed" in name else 0)
        decays = parameter.ndim >= 2
        rate = config.train.learning_rate * config.train.layer_decay**above
        empty = {"params": [], "lr": rate, "weight_decay": config.train.weight_decay if decays else 0.0}
        groups.setdefault((above, decays), empty)["params"].append(parameter)
    return list(groups.values())


class PassageTrainer(Trainer):
    """The Trainer with the members of each contrast group in one batch if ``grouped``, and a loss on hidden pieces.

    ``vocabulary`` is that loss, which joins the task's with ``weight``.
    """

    def __init__(
        self, *, grouped: bool = False, vocabulary: VocabularyLoss | None = None, weight: float = 0.0, **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.grouped, self.vocabulary, self.weight = grouped, vocabulary, weight

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The task's loss and, where pieces were hidden, the vocabulary's."""
        pieces = inputs.pop("pieces", None)
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self.vocabulary is not None and pieces is not None:
            loss = loss + self.weight * self.vocabulary(pieces)
        return (loss, outputs) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows: Any = train_dataset or self.train_dataset
        if not self.grouped:
            return super()._get_train_sampler(rows)
        return GroupedBatches([len(row["input_ids"]) for row in rows.rows], rows.groups, self.args.train_batch_size)


class MetricsToCaller(TrainerCallback):
    """Hands the Trainer's own log rows (loss, rate, epoch) to a plain function."""

    def __init__(self, log: Callable[[int, dict[str, float]], None]) -> None:
        self.log = log

    def on_log(self, *positional: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Called by the Trainer with (arguments, state, control) and its row."""
        state = positional[1]
        numbers = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, (int, float))}
        self.log(int(state.global_step), numbers)


def finetune(
    config: RunConfig,
    seed: int,
    train: Sequence[Example],
    validation: Sequence[Example],
    folder: Path,
    log: Callable[[int, dict[str, float]], None] = lambda step, metrics: None,
) -> Path:
    """Train one seed and write a standard checkpoint (safetensors) with its tokenizer into ``folder``."""
    assert config.model.encoder is not None
    torch.set_num_threads(config.threads or torch.get_num_threads())
    tokenizer = open_tokenizer(config.model.encoder)
    model = build_model(config, seed)
    tasks = list(config.learnt_tasks)
    settings = config.train
    augment = augmenter(settings.augment.model_dump())
    told = settings.masked_language > 0
    rows = EncodedRows(train, tokenizer, tasks, config.model.max_length, settings.hidden_words, augment, told)
    vocabulary = VocabularyLoss(model, config.model.encoder) if told else None
    steps = max(1, int(-(-len(rows) // settings.batch_size) * settings.epochs))
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=int(settings.warmup * steps),
        bf16=settings.bf16,
        seed=seed,
        data_seed=seed,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(1, steps // 40),
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
    )
    optimizer = torch.optim.AdamW(parameter_groups(model, config), betas=(0.9, 0.98))
    trainer = PassageTrainer(
        grouped=settings.contrastive > 0,
        vocabulary=vocabulary,
        weight=settings.masked_language,
        model=model,
        args=arguments,
        train_dataset=rows,
        eval_dataset=EncodedRows(validation, tokenizer, tasks, config.model.max_length),
        data_collator=Collate(tokenizer),
        compute_loss_func=task_loss(config),
        compute_metrics=macro_f1_by_task(config),
        optimizers=(optimizer, None),
        callbacks=[MetricsToCaller(log)],
    )
    trainer.train()
    keep_labels(model, sum(len(task.labels) for task in config.tasks.values()))
    checkpoint = folder / "checkpoint"
    # Half precision on disk: half the bytes, and the exported graph holds these very weights.
    model.half().save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    return checkpoint


def keep_labels(model: Any, kept: int) -> None:
    """Cut the logits behind the first ``kept``, those of auxiliary tasks, off a sequence classifier."""
    total = model.config.num_labels
    if kept == total:
        return
    heads = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == total]
    head = heads[-1]
    head.weight, head.out_features = nn.Parameter(head.weight.detach()[:kept].clone()), kept
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.detach()[:kept].clone())
    id2label = {number: label for number, label in model.config.id2label.items() if number < kept}
    model.config.id2label, model.config.label2id = id2label, {label: number for number, label in id2label.items()}
    model.num_labels = kept


def macro_f1_by_task(config: RunConfig) -> Callable[[Any], dict[str, float]]:
    """The Trainer's metrics on validation, an epoch at a time: macro-F1 a task."""

    def compute(prediction: Any) -> dict[str, float]:
        from sklearn.metrics import f1_score

        scores, start = {}, 0
        for number, (name, task) in enumerate(config.tasks.items()):
            gold = prediction.label_ids[:, number]
            guess = prediction.predictions[:, start : start + len(task.labels)].argmax(1)
            start += len(task.labels)
            scores[f"{name}_macro_f1"] = float(f1_score(gold[gold >= 0], guess[gold >= 0], average="macro"))
        return scores

    return compute
