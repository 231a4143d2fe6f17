#!/usr/bin/env python3
"""Steps of training beside PyTorch on the CPU: the same model, the same step, random tokens.

    bench/train_pytorch.py [--rate build/release/mneme-train-rate] [--threads N] [--batch 8]
                           [--vocab 8192] [--steps 8] [--rounds 3] [--out FILE]

Dense, width 512, 8 blocks, 512 tokens a sequence: RMSNorm, rotary attention of 8 heads (PyTorch's fused
scaled_dot_product_attention), SwiGLU, tied head, cross-entropy, clipping at 1 and (fused, where this
PyTorch has it) AdamW. PyTorch runs in f32 and under bf16 autocast, its optimiser in f32; its better one
counts, and so does ours. Engines take turns, the fastest step of all rounds counts: neighbours on a
processor only ever slow it down. One JSON document. Without torch (`pip install torch`, the CPU build) or
without mneme-train-rate it says what is missing and exits with 3. --rate - leaves ours out."""
import argparse
import json
import os
import subprocess
import sys
import time

WIDTH, BLOCKS, HEADS, LENGTH, HIDDEN = 512, 8, 8, 512, 1376
RATE, DECAY, BETAS = 3e-4, 0.1, (0.9, 0.95)


def model_of(torch, vocab):
    nn, F = torch.nn, torch.nn.functional
    half = WIDTH // HEADS // 2
    angle = torch.outer(torch.arange(LENGTH).float(), 10000.0 ** (-torch.arange(half).float() / half))
    cos, sin = angle.cos(), angle.sin()

    def turn(x):  # [batch, head, position, dim], halves paired
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(WIDTH))

        def forward(self, x):
            if hasattr(F, "rms_norm"):
                return F.rms_norm(x, (WIDTH,), self.scale, 1e-5)
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.scale

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = Norm(), Norm()
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.out = nn.Linear(WIDTH, WIDTH, bias=False)
            self.up = nn.Linear(WIDTH, HIDDEN, bias=False)
            self.gate = nn.Linear(WIDTH, HIDDEN, bias=False)
            self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

        def forward(self, x):
            n, t = x.shape[:2]
            q, k, v = (y.view(n, t, HEADS, -1).transpose(1, 2)
                       for y in self.qkv(self.norm1(x)).split(WIDTH, -1))
            y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(n, t, WIDTH))
            y = self.norm2(x)
            return x + self.down(F.silu(self.gate(y)) * self.up(y))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(vocab, WIDTH)
            self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
            self.norm = Norm()
            for p in self.parameters():
                if p.dim() == 2:
                    nn.init.normal_(p, std=(0.4 / WIDTH) ** 0.5)

        def forward(self, token, target):
            x = self.embedding(token)
            for block in self.blocks:
                x = block(x)
            logits = F.linear(self.norm(x), self.embedding.weight)
            return F.cross_entropy(logits.view(-1, vocab).float(), target.reshape(-1))

    return Model()


def optimiser_of(torch, model):
    args = dict(lr=RATE, betas=BETAS, weight_decay=DECAY)
    try:
        return torch.optim.AdamW(model.parameters(), fused=True, **args), True
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(model.parameters(), foreach=True, **args), False


def torch_steps(torch, args, bf16):
    """Seconds of each step but the first."""
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    model = model_of(torch, args.vocab)
    optimiser, fused = optimiser_of(torch, model)
    seconds = []
    for _ in range(args.steps):
        row = torch.randint(args.vocab, (args.batch, LENGTH + 1))
        begin = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = model(row[:, :-1], row[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds[1:], "fused": fused, "loss": float(loss.detach()),
            "parameters": sum(p.numel() for p in model.parameters())}


def our_steps(args, compute):
    line = subprocess.run(
        [args.rate, "--steps", str(args.steps), f"train.compute={compute}",
         f"train.threads={args.threads}", f"train.batch={args.batch}", f"model.vocab={args.vocab}"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(line)


def missing(what):
    print(f"train_pytorch.py: {what}", file=sys.stderr)
    sys.exit(3)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--rate", default="build/release/mneme-train-rate")
    ap.add_argument("--threads", type=int, default=os.cpu_count())
    ap.add_argument("--batch", type=int, default=8)
    ap.add_argument("--vocab", type=int, default=8192)
    ap.add_argument("--steps", type=int, default=8)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--out")
    args = ap.parse_args()
    if args.steps < 2:
        missing("--steps: at least 2 wanted, the first is not counted")
    try:
        import torch
    except ImportError:
        missing("no module torch: pip install torch (the CPU build) into an environment of its own")
    if args.rate != "-" and not os.access(args.rate, os.X_OK):
        missing(f"{args.rate}: no such program; build the target mneme-train-rate, or --rate -")
    tokens, best, ours = args.batch * LENGTH, {}, {}
    for _ in range(args.rounds):
        for compute in ("f32", "bf16"):
            r = torch_steps(torch, args, compute == "bf16")
            r["tokens_per_s"] = tokens / min(r.pop("seconds"))
            if r["tokens_per_s"] > best.get(compute, {"tokens_per_s": 0})["tokens_per_s"]:
                best[compute] = r
            if args.rate != "-":
                r = our_steps(args, compute)
                if r["tokens_per_s"] > ours.get(compute, {"tokens_per_s": 0})["tokens_per_s"]:
                    ours[compute] = r
    out = {"version": 1, "torch": torch.__version__, "threads": args.threads, "batch": args.batch,
           "vocab": args.vocab, "length": LENGTH, "pytorch": best, "mneme": ours}
    if ours:
        fastest = [max(x["tokens_per_s"] for x in of.values()) for of in (ours, best)]
        out["ratio"] = fastest[0] / fastest[1]
    text = json.dumps(out, indent=1)
    print(text)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
