/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What test_walk looks at of each block, for the program and for the test that knows what it should be: the
 * first byte, and a few at random of as many as a program can look at. It must name that size as a
 * constant, so there is a list of sizes, and the last byte is of the largest that the block has.
 */
#ifndef EXO_TEST_WALK_H
#define EXO_TEST_WALK_H

#include "test_args.h"

#define EXO_TEST_WALK_LOOKS	32

#define EXO_TEST_WALK_OCTAVE(size, n) size((n) * 7 / 4) size((n) * 6 / 4) size((n) * 5 / 4) size(n)

/* From the largest on. */
#define EXO_TEST_WALK_SIZES(size)					\
	size(69632) size(65536)						\
	EXO_TEST_WALK_OCTAVE(size, 32768) EXO_TEST_WALK_OCTAVE(size, 16384)	\
	EXO_TEST_WALK_OCTAVE(size, 8192) EXO_TEST_WALK_OCTAVE(size, 4096)	\
	EXO_TEST_WALK_OCTAVE(size, 2048) EXO_TEST_WALK_OCTAVE(size, 1024)	\
	EXO_TEST_WALK_OCTAVE(size, 512) EXO_TEST_WALK_OCTAVE(size, 256)	\
	EXO_TEST_WALK_OCTAVE(size, 128) EXO_TEST_WALK_OCTAVE(size, 64)	\
	EXO_TEST_WALK_OCTAVE(size, 32) EXO_TEST_WALK_OCTAVE(size, 16)	\
	EXO_TEST_WALK_OCTAVE(size, 8) EXO_TEST_WALK_OCTAVE(size, 4)	\
	size(3) size(2) size(1)

static __always_inline __u64 exo_test_walk_sum(const __u8 *block, __u32 size, __u64 seed)
{
	__u64 sum = size;

#ifdef __bpf__
#pragma clang loop unroll(disable)
#endif
	for (__u32 i = 0; i < EXO_TEST_WALK_LOOKS; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		/* In a way that the verifier can follow, too: below size. */
		sum = sum * 31 + block[((seed >> 32) * size) >> 32];
	}
	return (sum * 31 + block[0]) * 31 + block[size - 1];
}

#endif /* EXO_TEST_WALK_H */
