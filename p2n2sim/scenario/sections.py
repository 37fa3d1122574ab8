"""What a scenario file may say: one frozen struct a section, with its defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from p2n2sim.mpc.prg import derive_key
from p2n2sim.scenario.defender import Defence, Defender
from p2n2sim.scenario.faults import Fault
from p2n2sim.scenario.network import Network
from p2n2sim.scenario.privacy import Privacy
from p2n2sim.scenario.section import Count, Rate, Section, Share
from p2n2sim.scenario.units import Duration, Quantity

T = TypeVar("T")
Width = Annotated[int, Meta(ge=1, le=65_536)]
Activation = Literal["sigmoid", "relu", "tanh", "square", "identity"]


class Data(Section, frozen=True):
    """Which data, and who holds what.

    Attributes:
        source: ``creditcard``, ``financial_distress``, ``uci_default``, ``give_me_some_credit``,
            ``german_credit``, ``mnist``, ``digits``, or the path of a .csv or .parquet file.
        label: label column of the user's own file.
        drop: columns of the user's own file that are left out.
        fraction: share of the training rows that is used.
        test_fraction: share of all rows that is tested on; ``mnist`` has test rows of its own.
        standardise: scale each feature by the mean and deviation of its training rows, but no pixels.
        clip: largest magnitude of a standardised feature.
        leak_target: count the distress data's target as a feature, which gives the paper's 556 columns
            and an AUC that means nothing.
        columns: names or patterns of the features that are used; unless given, all.
        history: so many earlier periods of its company stand beside every row of the distress data.
        bounds: numeric column, or a pattern -> the smallest and the largest value that are let through, as
            publicly known.
        logarithm: numeric columns, or patterns, of which sign(x) log(1 + |x|) is taken after that.
        holders: number of data holders; they are called A, B, C, ...
        split: ``even``, ``left-right`` (of images), the number of columns of each holder, or the column names
            of each, patterns with ``*`` among them.
        label_owner: the holder that owns the label; a list of several is refused.
        fingerprint: SHA-256 of the prepared data, filled in by a run; a run on other data is refused.
    """

    source: str = "creditcard"
    label: str | None = None
    drop: tuple[str, ...] = ()
    fraction: Share = 1.0
    test_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    standardise: bool = True
    clip: Rate | None = None
    leak_target: bool = False
    columns: tuple[str, ...] = ()
    history: Annotated[int, Meta(ge=0, le=13)] = 0
    bounds: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    logarithm: tuple[str, ...] = ()
    holders: Annotated[int, Meta(ge=2, le=1_000)] = 2
    split: str | tuple[int | tuple[str, ...], ...] = "even"
    label_owner: str = "A"
    fingerprint: str | None = None


class Model(Section, frozen=True):
    """The network.

    Attributes:
        hidden: widths of the hidden layers; the first one is computed by the holders.
        activations: one for all hidden layers, or one each.
        initialisation: ``glorot`` (uniform, zero biases) or ``pytorch``.
        kind: what the server's hidden layers are: a ``perceptron``, or over the `steps` of a sequence a
            ``cnn`` (convolutional) or a ``gru`` (recurrent).
        steps: for every step of a sequence, the earliest first, the columns or patterns that feed its units
            of the first layer, which are divided evenly among the steps; columns in no step feed all.
        server: ``package.module:function`` that makes the server's module from the widths of the
            first and the last hidden layer, instead of the built-in perceptron.
    """

    hidden: Annotated[tuple[Width, ...], Meta(min_length=1)] = (8, 8)
    activations: Activation | tuple[Activation, ...] = "sigmoid"
    initialisation: Literal["glorot", "pytorch"] = "glorot"
    kind: Literal["perceptron", "cnn", "gru"] = "perceptron"
    steps: tuple[tuple[str, ...], ...] = ()
    server: str | None = None

    @property
    def activation_list(self) -> tuple[str, ...]:
        """One activation for each hidden layer."""
        if isinstance(self.activations, str):
            return (self.activations,) * len(self.hidden)
        return self.activations


class Train(Section, frozen=True):
    """Gradient descent.

    Attributes:
        epochs: passes over the training rows.
        batch_size: rows of a mini-batch; with Poisson sampling, their expected number.
        sampler: how rows come into a batch: ``shuffled``, parts of a random order of all; or ``poisson``,
            each row by its own coin.
        optimiser: ``sgd`` (gradient descent), ``adam``, or ``sgld`` (Langevin dynamics).
        learning_rate: step of the optimiser.
        momentum: of the gradient descent, 0 for none.
        temperature: of Langevin dynamics: the variance of its noise is so many times the learning rate.
        loss_reduction: gradient of the summed or of the averaged loss of a batch.
        predict_every: predict the test rows after every so many epochs; always after the last.
        checkpoint_every: after so many batches the parties store what they have, and a run its state; unless
            given, never.
        seed: of everything that is drawn at random.
    """

    epochs: Count = 3
    batch_size: Count = 5000
    sampler: Literal["shuffled", "poisson"] = "shuffled"
    optimiser: Literal["sgd", "adam", "sgld"] = "sgd"
    learning_rate: Rate = 0.001
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    temperature: Annotated[float, Meta(ge=0)] = 1.0
    loss_reduction: Literal["sum", "mean"] = "sum"
    predict_every: Count = 1
    checkpoint_every: Count | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 1


class Polynomial(Section, frozen=True):
    """The polynomial that stands for an activation under secret sharing.

    Attributes:
        method: ``least-squares``, ``chebyshev`` (interpolation at Chebyshev nodes) or ``taylor`` (around 0).
        degree: of the polynomial.
        range: it is fitted on [-range, range].
    """

    method: Literal["least-squares", "chebyshev", "taylor"] = "least-squares"
    degree: Annotated[int, Meta(ge=1, le=9)] = 3
    range: Rate = 5.0


class Protocol(Section, frozen=True):
    """How much of the network is computed under secret sharing, and how.

    Attributes:
        first_layer: by which protocol the first layer is computed: ``algorithm1`` as printed,
            ``algorithm1-prg`` (shares as seeds), ``algorithm1-masked-once`` (X masked once for all
            batches), ``masked-sum``, ``ckks``, ``paillier``, or ``plaintext`` (split learning).
        secret_layers: how many layers are computed under secret sharing, 0 (split learning) to all;
            unless given, 1, or 0 with ``plaintext``.
        opened: what the server is given of the last layer under secret sharing: the ``product`` before,
            or the ``activation`` after its non-linearity.
        fractional_bits: of the fixed-point encoding.
        ring_bits: width of the ring's elements where several layers are under secret sharing.
        truncation: how fractional bits are dropped after a product under secret sharing: with a
            ``dealer``'s pairs, or ``local`` (two holders only, can go wrong).
        activation: non-linearities under secret sharing: ``piecewise`` (exact ReLU, three-piece sigmoid) or
            ``polynomial``.
        polynomial: which polynomial.
        triples: where correlated randomness comes from: a ``dealer`` with compressed messages, a
            ``dealer-full`` that sends every share, or without a dealer from oblivious transfer (``ot``) or
            homomorphic encryption (``he``), both modelled.
        triples_ahead: by how many batches the offline phase runs ahead.
        crypto: ``real`` ciphertexts, or ``modelled`` ones: their size and cost, the values in the clear.
        paillier_bits: of the Paillier modulus.
        shadow: recompute all that is under secret sharing in big integers and report where it overflows.
    """

    first_layer: Literal[
        "algorithm1",
        "algorithm1-prg",
        "algorithm1-masked-once",
        "masked-sum",
        "ckks",
        "paillier",
        "plaintext",
    ] = "algorithm1"
    secret_layers: Annotated[int, Meta(ge=0)] | None = None
    opened: Literal["product", "activation"] = "product"
    fractional_bits: Annotated[int, Meta(ge=1, le=30)] = 20
    ring_bits: Literal[32, 64] = 64
    truncation: Literal["dealer", "local"] = "dealer"
    activation: Literal["piecewise", "polynomial"] = "piecewise"
    polynomial: Polynomial = Polynomial()
    triples: Literal["dealer", "dealer-full", "ot", "he"] = "dealer"
    triples_ahead: Annotated[int, Meta(ge=0)] = 1
    crypto: Literal["real", "modelled"] = "real"
    paillier_bits: Literal[1024, 2048, 3072, 4096] = 2048
    shadow: bool = False

    @property
    def layers_under_sharing(self) -> int:
        """The number of layers under secret sharing, also where the key is not given."""
        if self.secret_layers is not None:
            return self.secret_layers
        return 0 if self.first_layer == "plaintext" else 1

    @property
    def first_layer_in_use(self) -> str:
        """The first layer's protocol: split learning's where nothing is under secret sharing."""
        return self.first_layer if self.layers_under_sharing else "plaintext"


class Processor(Section, frozen=True):
    """Rates that differ from the preset; one core.

    Attributes:
        operations: what is counted by name, ``paillier encrypt`` for example -> how long one takes.
    """

    ring_madds_per_s: Rate | None = None
    flops_per_s: Rate | None = None
    random_bytes_per_s: Rate | None = None
    moved_bytes_per_s: Rate | None = None
    message_overhead: Duration | None = None
    operations: dict[str, Duration] = msgspec.field(default_factory=dict)


class Compute(Section, frozen=True):
    """How long local work takes.

    Attributes:
        preset: ``reference`` (one core of a cloud server) or ``instant`` (no time at all).
        default: what differs from the preset for everybody.
        holder: what differs further for the data holders.
        server: the same for the server.
        dealer: the same for the dealer.
    """

    preset: Literal["reference", "instant"] = "reference"
    default: Processor = Processor()
    holder: Processor = Processor()
    server: Processor = Processor()
    dealer: Processor = Processor()


class Record(Section, frozen=True):
    """What is kept of what parties saw, for attacks on it.

    Attributes:
        views: the parties whose views are kept: data holders, or ``server``.
        epochs: of the ``last`` epoch, or of ``all``.
    """

    views: tuple[str, ...] = ()
    epochs: Literal["last", "all"] = "last"


class Scenario(Section, frozen=True):
    """One experiment. With the data, it determines every byte of a run.

    Attributes:
        name: names the run folder.
        title: one line for people.
        schedule_seed: draws another legal order of what happens at one instant of virtual time, and with it
            whatever else of a run is drawn at random; unless given, first come, first served.
        fault: what goes wrong on purpose.
        sweep: dotted key -> values, for `p2n2sim sweep`; the grid of all of them is run.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = ""
    data: Data = Data()
    model: Model = Model()
    train: Train = Train()
    protocol: Protocol = Protocol()
    defender: Defender = Defender()
    defence: Defence = Defence()
    privacy: Privacy = Privacy()
    network: Network = Network()
    compute: Compute = Compute()
    record: Record = Record()
    schedule_seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    fault: tuple[Fault, ...] = ()
    sweep: dict[str, tuple[Any, ...]] = msgspec.field(default_factory=dict)

    @property
    def draw_seed(self) -> int:
        """Seed of what the network draws at random (jitter, faults): another one for every schedule."""
        if self.schedule_seed is None:
            return self.train.seed
        return int.from_bytes(derive_key(self.train.seed, "schedule", self.schedule_seed), "big")


def convert(tree: object, kind: type[T]) -> T:
    """Plain values as a section, numbers also from text.

    Raises:
        msgspec.ValidationError: they do not fit.
    """
    return msgspec.convert(tree, kind, strict=False, dec_hook=_decode)


def _decode(kind: type, value: object) -> object:
    assert issubclass(kind, Quantity)  # the only type in the sections that msgspec does not know
    return kind.parse(value)
