"""The order of a data set's examples, as docs/data.md says it: written from there, not from C++."""

MASK = 2**64 - 1
G = 0x9E3779B97F4A7C15


def mix(x):
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


class ExamplePermutation:
    def __init__(self, examples, seed, epoch):
        self.examples = examples
        self.half = 3
        while 4**self.half < examples:
            self.half += 1
        key = mix(mix(seed) + (epoch + 1) * G & MASK)
        self.keys = [mix(key + (round + 1) * G & MASK) for round in range(8)]

    def __call__(self, place):
        low = 2**self.half - 1
        number = place
        while True:
            left, right = number >> self.half, number & low
            for key in self.keys:
                left, right = right, left ^ (mix(right + key & MASK) & low)
            number = left << self.half | right
            if number < self.examples:
                return number


def examples_of(batch, examples, batch_size, seed):
    """The examples of a batch, by its number."""
    per_epoch = -(-examples // batch_size)
    order = ExamplePermutation(examples, seed, batch // per_epoch)
    begin = batch % per_epoch * batch_size
    return [order(place) for place in range(begin, min(begin + batch_size, examples))]
