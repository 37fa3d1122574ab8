"""Everything that the parties of P2N2 and of split learning can say to each other.

Shapes: m rows of the mini-batch, k features of all holders together, k_i of holder i, n units of the
first layer, q units of the last hidden layer. Ring elements are int64 (Z_2^64), clear values float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from p2n2sim.wire import (
    RING,
    Message,
    Phase,
    clear,
    decrypted,
    encrypted,
    modelled,
    opens,
    public,
    uniform,
)

SERVER = "server"
DEALER = "dealer"

Ring = NDArray[np.int64]
Elements = NDArray[np.int64] | NDArray[np.int32]
"""Ring elements as they travel: of the wide ring, or of the narrow one."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DealerKey(Message):
    """Dealer to holder, once: the key of the streams that they share from now on."""

    phase: ClassVar[Phase] = "offline"
    key: NDArray[np.uint8] = uniform("key of the triple streams", np.uint8)  # (16,)


@dataclass(frozen=True, slots=True)
class TripleRequest(Message):
    """Last holder to dealer: send the correction for this step, I am ready for it."""

    phase: ClassVar[Phase] = "offline"


@dataclass(frozen=True, slots=True)
class TripleCorrection(Message):
    """Dealer to the last holder: the part of Z = U V that no stream gives."""

    phase: ClassVar[Phase] = "offline"
    Z: Ring = uniform("share of UV")  # (m, n)


@dataclass(frozen=True, slots=True)
class TripleShare(Message):
    """Dealer to every holder when it compresses nothing: the holder's whole share of a batch's triple."""

    phase: ClassVar[Phase] = "offline"
    U: Ring = uniform("share of U")  # (m, k), or (0, k) where the rows' masks were dealt at the start
    V: Ring = uniform("share of V")  # (k, n)
    Z: Ring = uniform("share of UV")  # (m, n)


@dataclass(frozen=True, slots=True)
class RowMaskShare(Message):
    """Dealer to every holder when it compresses nothing, once: shares of the masks of all rows of X."""

    phase: ClassVar[Phase] = "offline"
    train: Ring = uniform("share of U")  # (training rows, k)
    test: Ring = uniform("share of U")  # (test rows, k)


@dataclass(frozen=True, slots=True)
class TripleSetup(Message):
    """Holder to holder, once, modelled: what two of them need before they can make triples."""

    phase: ClassVar[Phase] = "offline"
    block: NDArray[np.uint8] = modelled("set-up of triples")


@dataclass(frozen=True, slots=True)
class TripleOpening(Message):
    """Holder to holder, modelled: the first message by which two of them make a batch's triple."""

    phase: ClassVar[Phase] = "offline"
    block: NDArray[np.uint8] = modelled("generation of triples")


@dataclass(frozen=True, slots=True)
class TripleAnswer(Message):
    """Holder to holder, modelled: the second message by which two of them make a batch's triple."""

    phase: ClassVar[Phase] = "offline"
    block: NDArray[np.uint8] = modelled("generation of triples")


@dataclass(frozen=True, slots=True)
class ShareSeed(Message):
    """Holder i to holder j, once: the key of the streams that are j's shares of i's inputs from now on."""

    seed: NDArray[np.uint8] = uniform("seed of shares", np.uint8)  # (16,)


@dataclass(frozen=True, slots=True)
class PublicKey(Message):
    """Holder to every other, once: a public key for the agreement of a secret with each."""

    key: NDArray[np.uint8] = public("public key")  # (32,)


@dataclass(frozen=True, slots=True)
class InputShare(Message):
    """Holder i to holder j, Algorithm 1 lines 3 and 4: j's shares of X_i and theta_i."""

    X: Ring = uniform("share of X_i")  # (m, k_i)
    theta: Ring = uniform("share of theta_i")  # (k_i, n)


@dataclass(frozen=True, slots=True)
class MaskedShare(Message):
    """Holder i to every other, Algorithm 1 line 7: the shares under the triple's masks, to be opened."""

    E: Ring = uniform("share of X - U")  # (m, k)
    F: Ring = uniform("share of theta - V")  # (k, n)


@dataclass(frozen=True, slots=True)
class MaskedRows(Message):
    """Holder i to every other, once: its shares of all rows of X under their masks, to be opened."""

    train: Ring = uniform("share of X - U")  # (training rows, k)
    test: Ring = uniform("share of X - U")  # (test rows, k)


@dataclass(frozen=True, slots=True)
class MaskedWeights(Message):
    """Holder i to every other, where X is masked once: its share of theta under its mask, to be opened."""

    F: Ring = uniform("share of theta - V")  # (k, n)


@dataclass(frozen=True, slots=True)
class HiddenShare(Message):
    """Holder to server, Algorithm 2 line 4: a share of h1 with twice the fractional bits."""

    h1: Ring = opens("h1")  # (m, n)


@dataclass(frozen=True, slots=True)
class FeatureShare(Message):
    """Holder i to holder j, Algorithm 1 line 3, where theta stays under sharing: j's share of X_i."""

    X: Elements = uniform("share of X_i", *RING)  # (m, k_i)


@dataclass(frozen=True, slots=True)
class Opening(Message):
    """Holder to every other: its shares of values under masks that only the dealer knew, to be opened."""

    values: Elements = uniform("share of a masked value", *RING)
    bits: NDArray[np.uint8] = uniform("share of masked bits", np.uint8)


@dataclass(frozen=True, slots=True)
class Correlated(Message):
    """Dealer to holder: the part of a batch's correlated randomness that no stream gives."""

    phase: ClassVar[Phase] = "offline"
    values: Elements = uniform("share of correlated randomness", *RING)
    bits: NDArray[np.uint8] = uniform("share of correlated bits", np.uint8)


@dataclass(frozen=True, slots=True)
class LayerShare(Message):
    """Holder to server: a share of the last layer that is under secret sharing."""

    h: Elements = opens("h_s", *RING)  # (m, n_s)


@dataclass(frozen=True, slots=True)
class LayerGradient(Message):
    """Server to every holder: the gradient with respect to what it was given."""

    d: Floats = clear("dL/dh_s")  # (m, n_s)


@dataclass(frozen=True, slots=True)
class LogitShare(Message):
    """Holder to the label's owner: a share of the predictions for test rows."""

    logits: Elements = opens("logits", *RING)  # (m,)


@dataclass(frozen=True, slots=True)
class HiddenPart(Message):
    """Holder to server in split learning: its summand of h1 in the clear."""

    part: Floats = clear("X_i theta_i", summand_of="h1")  # (m, n)


@dataclass(frozen=True, slots=True)
class HomomorphicKey(Message):
    """Server to every holder, once: the key under which the holders encrypt and the server decrypts."""

    phase: ClassVar[Phase] = "offline"
    key: NDArray[np.uint8] = public("public key")  # (bytes,)


@dataclass(frozen=True, slots=True)
class EncryptedSum(Message):
    """Holder i to holder i + 1: the summands of the first i holders, added under the server's key."""

    total: NDArray[np.uint8] = encrypted("X_1 theta_1 + ...")  # (ciphertexts, bytes)


@dataclass(frozen=True, slots=True)
class EncryptedHidden(Message):
    """Last holder to server: the sum of all summands under the server's own key."""

    numbers: int  # mn
    h1: NDArray[np.uint8] = decrypted("h1", "numbers")  # (ciphertexts, bytes)


@dataclass(frozen=True, slots=True)
class LastHidden(Message):
    """Server to label owner, Algorithm 2 line 8."""

    h_L: Floats = clear("h_L")  # (m, q)


@dataclass(frozen=True, slots=True)
class LastHiddenGradient(Message):
    """Label owner to server, Algorithm 2 line 11."""

    d_L: Floats = clear("dL/dh_L")  # (m, q)


@dataclass(frozen=True, slots=True)
class FirstHiddenGradient(Message):
    """Server to every holder, Algorithm 2 line 11; each computes X_i^T d_1 by itself."""

    d_1: Floats = clear("dL/dh1")  # (m, n)


@dataclass(frozen=True, slots=True)
class FirstHidden(Message):
    """Server to every holder, Algorithm 2 line 5: what a holder's decoder starts from."""

    h1: Floats = clear("h1")  # (m, n)


@dataclass(frozen=True, slots=True)
class DefenceGradient(Message):
    """Holder to every other holder, Algorithm 2 line 11: its part of Eq. 5's gradient beside dL/dh1."""

    g: Floats = clear("dD_j/dh1")  # (m, n)


@dataclass(frozen=True, slots=True)
class MaskKey(Message):
    """Holder to every later one, once: the key of the stream by which both mask the norms of their rows."""

    key: NDArray[np.uint8] = uniform("key of a mask", np.uint8)  # (16,)


@dataclass(frozen=True, slots=True)
class NormShare(Message):
    """Holder to server, once, for flat clipping: its summand of the training rows' squared norms, masked."""

    squared: Ring = opens("|x|^2")  # (training rows,)


@dataclass(frozen=True, slots=True)
class HeadNorms(Message):
    """Label owner to server, for flat clipping: squared norms of the rows' gradients of theta_y."""

    squared: Floats = clear("|dL/dtheta_y|^2")  # (m,)


@dataclass(frozen=True, slots=True)
class ClipFactors(Message):
    """Server to label owner, for flat clipping: by how much every row's gradient is made shorter."""

    f: Floats = clear("clipping factors")  # (m,)


@dataclass(frozen=True, slots=True)
class GradientNoise(Message):
    """Server to holder, where the server draws all noise: that of the receiver's part."""

    noise: Floats = clear("noise on dL/dtheta_i")  # (k_i n,)


@dataclass(frozen=True, slots=True)
class HeadNoise(Message):
    """Server to label owner, where the server draws all noise: that of the head."""

    noise: Floats = clear("noise on dL/dtheta_y")  # (weights,)


@dataclass(frozen=True, slots=True)
class WeightShare(Message):
    """Holder i to holder j, once, where theta stays under sharing: j's share of the initial theta_i."""

    theta: Ring = uniform("share of theta_i")  # (k_i, n)


VOCABULARY: tuple[type[Message], ...] = (
    DealerKey,
    TripleRequest,
    TripleCorrection,
    TripleShare,
    RowMaskShare,
    TripleSetup,
    TripleOpening,
    TripleAnswer,
    ShareSeed,
    PublicKey,
    InputShare,
    MaskedShare,
    MaskedRows,
    MaskedWeights,
    HiddenShare,
    FeatureShare,
    Opening,
    Correlated,
    LayerShare,
    LayerGradient,
    LogitShare,
    HiddenPart,
    HomomorphicKey,
    EncryptedSum,
    EncryptedHidden,
    LastHidden,
    LastHiddenGradient,
    FirstHiddenGradient,
    FirstHidden,
    DefenceGradient,
    MaskKey,
    NormShare,
    HeadNorms,
    ClipFactors,
    GradientNoise,
    HeadNoise,
    WeightShare,
)
