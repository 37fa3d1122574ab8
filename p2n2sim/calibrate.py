"""Measures one core of this machine: the rates of a scenario's [compute.default]."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

import gmpy2
import numpy as np
import tenseal.sealapi as seal
import tomli_w
import torch
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from p2n2sim.mpc import ckks, paillier, prg, ring
from p2n2sim.mpc.homomorphic import CkksParameters, PaillierParameters
from p2n2sim.net.cpu import Machine
from p2n2sim.scenario.machines import PAILLIER_BITS

_REPEATS = 7
_M, _K, _N = 5000, 28, 8  # the fraud batch, the shape that most work has
_MESSAGES, _SMALL = 500, 64  # of bytes
_KEY = prg.derive_key(0, "calibrate")
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def measure() -> Machine:
    """Medians of a few short repeats each; about two seconds in all. Wall time is what is measured here."""
    torch.set_num_threads(1)
    X, theta = prg.uniform(_KEY, 0, (_M, _K)), prg.uniform(_KEY, 1, (_K, _N))
    a, b = torch.ones(_M, _K), torch.ones(_K, _N)
    one, two, three = (np.ones(1 << 22, np.int64) for _ in range(3))  # 32 MiB each: out of the caches
    elements = np.empty(1 << 18, np.int64)
    random = elements.nbytes / _seconds(lambda: prg.uniform(_KEY, 2, elements.shape, out=elements))
    moved = 3 * one.nbytes / _seconds(lambda: np.add(one, two, out=three))
    return Machine(
        ring_madds_per_s=_M * _K * _N / _seconds(lambda: ring.matmul(X, theta)),
        flops_per_s=2 * _M * _K * _N / _seconds(lambda: torch.mm(a, b)),
        random_bytes_per_s=random,
        moved_bytes_per_s=moved,
        message_overhead_s=_seconds(lambda: asyncio.run(_echo(_MESSAGES))) / (2 * _MESSAGES),
        operations_s=_paillier() | _ckks() | _transfers(random, moved),
    )


def to_table(machine: Machine) -> str:
    """The profile as tables for a scenario file, with three significant digits."""
    rates = {
        "ring_madds_per_s": machine.ring_madds_per_s,
        "flops_per_s": machine.flops_per_s,
        "random_bytes_per_s": machine.random_bytes_per_s,
        "moved_bytes_per_s": machine.moved_bytes_per_s,
    }
    table: dict[str, object] = {name: float(f"{rate:.3g}") for name, rate in rates.items()}
    table["message_overhead"] = _duration(machine.message_overhead_s)
    if machine.operations_s:
        table["operations"] = {name: _duration(seconds) for name, seconds in machine.operations_s.items()}
    return tomli_w.dumps({"compute": {"default": table}})


def _duration(seconds: float) -> str:
    """Three significant digits in the largest unit of which it is at least one."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def _paillier() -> dict[str, float]:
    """One ciphertext each, with the modulus for which profiles tell the times."""
    parameters = PaillierParameters(key_bits=PAILLIER_BITS)
    secret = paillier.generate(parameters, prg.Stream(_KEY, 3))
    public, stream = secret.public, prg.Stream(_KEY, 4)
    values = np.arange(parameters.slots, dtype=np.int64)
    ciphertext = public.encrypt(values, stream)
    square = gmpy2.mpz(int.from_bytes(public.wire.tobytes(), "little")) ** 2
    number = gmpy2.mpz(int.from_bytes(ciphertext.tobytes(), "little"))
    exponent = gmpy2.mpz(int(prg.uniform(_KEY, 5, 1).view(np.uint64)[0]) | 1 << 63)
    return {
        "paillier encrypt": _seconds(lambda: public.encrypt(values, stream)),
        "paillier add": _seconds(lambda: public.add(ciphertext, ciphertext)),
        "paillier scale": _seconds(lambda: gmpy2.powmod(number, exponent, square)),
        "paillier decrypt": _seconds(lambda: secret.decrypt(ciphertext, values.size)),
    }


def _ckks() -> dict[str, float]:
    """SEAL's own work on one ciphertext, encoding included."""
    parameters = CkksParameters()
    context = ckks.seal_context(parameters)
    keys, public = seal.KeyGenerator(context), seal.PublicKey()
    keys.create_public_key(public)
    encoder, evaluator = seal.CKKSEncoder(context), seal.Evaluator(context)
    encryptor, decryptor = seal.Encryptor(context, public), seal.Decryptor(context, keys.secret_key())
    slots, scale = [complex(i, -i) for i in range(parameters.degree // 2)], float(1 << parameters.scale_bits)
    plaintext, ciphertext, total, decrypted = (
        seal.Plaintext(),
        seal.Ciphertext(),
        seal.Ciphertext(),
        seal.Plaintext(),
    )

    def encrypt() -> None:
        encoder.encode(slots, scale, plaintext)
        encryptor.encrypt(plaintext, ciphertext)

    def decrypt() -> None:
        decryptor.decrypt(ciphertext, decrypted)
        encoder.decode_complex(decrypted)

    return {
        "ckks encrypt": _seconds(encrypt),
        "ckks add": _seconds(lambda: evaluator.add(ciphertext, ciphertext, total)),
        "ckks decrypt": _seconds(decrypt),
    }


def _transfers(random_bytes_per_s: float, moved_bytes_per_s: float) -> dict[str, float]:
    """What key agreement and the modelled offline phase count; see `p2n2sim.scenario.machines`."""
    private, public = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    agreement = _seconds(lambda: private.exchange(public))
    return {
        "x25519": agreement,
        "base ot": 2 * agreement,
        "ot extension": 3 * 16 / random_bytes_per_s + 7 * 2 * 16 / moved_bytes_per_s,
    }


def _seconds(work: Callable[[], object]) -> float:
    work()  # warm up
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def _echo(times: int) -> None:
    """Sends a small message to and fro over a real connection on this machine."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            writer.write(await reader.readexactly(_SMALL))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(times):
        writer.write(bytes(_SMALL))
        await reader.readexactly(_SMALL)
    writer.close()
    server.close()
