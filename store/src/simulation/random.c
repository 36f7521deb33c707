/* Preloaded into a simulation: the operating system's random numbers, the same in every run. Each thread has its own
   row of them, so that one does not disturb another. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

static __thread uint64_t state;

static uint64_t next(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
    unsigned char *out = buffer;
    (void)flags;
    for (size_t i = 0; i < length; i++) out[i] = (unsigned char)(next() >> 32);
    return (ssize_t)length;
}

int getentropy(void *buffer, size_t length) {
    getrandom(buffer, length, 0);
    return 0;
}
