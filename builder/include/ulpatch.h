/* SPDX-License-Identifier: GPL-2.0-or-later WITH GCC-exception-3.1 */

/* For authors of patches: functions that run when a patch comes or goes (hooks),
 * and room for what a structure lacks (shadow variables). specs/hooks.md of
 * ulpatch says what both may do and what not. C11, or C++11, of gcc or clang. */
#ifndef ULPATCH_H
#define ULPATCH_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

/* Hooks
 *
 *	static int check(void) { return pool_is_open ? 0 : 1; }
 *	ULPATCH_PRE_APPLY(check)
 *
 * Each takes the name of a function int NAME(void) of the same file:
 *
 * PRE_APPLY    before the patch: anything but 0 forbids it
 * POST_APPLY   once its functions run
 * PRE_REVERT   before it is taken back: anything but 0 forbids it
 * POST_REVERT  once none of its functions runs any more, or will ever
 *
 * They run in a thread that is interrupted for them, like a signal handler, while
 * the other threads run on. */
#define ULPATCH_PRE_APPLY(function) ULPATCH_HOOK_(function, pre_apply, 0)
#define ULPATCH_POST_APPLY(function) ULPATCH_HOOK_(function, post_apply, 1)
#define ULPATCH_PRE_REVERT(function) ULPATCH_HOOK_(function, pre_revert, 2)
#define ULPATCH_POST_REVERT(function) ULPATCH_HOOK_(function, post_revert, 3)

/* Sections of their own keep what is new apart from what the process has. */
#define ULPATCH_ZERO_ __attribute__((section(".bss.ulpatch")))
#define ULPATCH_TEXT_ __attribute__((section(".rodata.ulpatch")))
#define ULPATCH_DATA_ __attribute__((section(".data.ulpatch")))

/* What ulpatch-build reads. */
struct ulpatch_progress {
	int32_t started, finished, result;
};

struct ulpatch_hook {
	void (*call)(void);
	struct ulpatch_progress *progress;
	const char *name;
	int32_t stage, line;
};

#define ULPATCH_HOOK_(function, when, stage) \
	static struct ulpatch_progress ulpatch_progress_##when##_##function ULPATCH_ZERO_; \
	static __attribute__((used, noinline)) void ulpatch_##when##_##function(void) \
	{ \
		struct ulpatch_progress *progress_ = &ulpatch_progress_##when##_##function; \
		__atomic_store_n(&progress_->started, 1, __ATOMIC_SEQ_CST); \
		__atomic_store_n(&progress_->result, function(), __ATOMIC_RELAXED); \
		__atomic_store_n(&progress_->finished, 1, __ATOMIC_SEQ_CST); \
	} \
	static const char ulpatch_name_##when##_##function[] ULPATCH_TEXT_ = #function; \
	static const struct ulpatch_hook ulpatch_hook_##when##_##function \
		__attribute__((section(".ulpatch.hooks"), used)) = { \
			ulpatch_##when##_##function, &ulpatch_progress_##when##_##function, \
			ulpatch_name_##when##_##function, stage, __LINE__};

/* Shadow variables
 *
 *	struct extra { long retries; };
 *	ULPATCH_SHADOW(retries_of, struct extra)
 *	ULPATCH_SHADOW_TABLE(retries_of, 1024)
 *
 * The first line gives each file that has it
 *
 *	struct extra *retries_of_get(const void *object);
 *	struct extra *retries_of_get_or_alloc(const void *object);
 *	void retries_of_free(const void *object);
 *	void retries_of_release(void);
 *
 * and the second, in one file of the patch, the table itself; 1024 is about how
 * many objects there are, and costs 8 bytes each. get gives NULL where an object
 * has no shadow; get_or_alloc gives it one of zeros, and NULL only if there is no
 * memory. Free it where the object is freed. release, for a POST_REVERT hook,
 * gives back the memory of all.
 *
 * Any thread may call them at any time, for other objects and for the same, but
 * free, like that of the object, only once nobody uses the shadow any more. get
 * and free may be called in signal handlers too, get_or_alloc may not. */
#define ULPATCH_SHADOW(name, type) \
	extern struct ulpatch_shadow name __attribute__((visibility("hidden"))); \
	static inline __attribute__((unused)) type *name##_get(const void *object) \
	{ \
		return (type *)ulpatch_shadow_get(&name, object); \
	} \
	static inline __attribute__((unused)) type *name##_get_or_alloc(const void *object) \
	{ \
		return (type *)ulpatch_shadow_get_or_alloc(&name, object, sizeof(type)); \
	} \
	static inline __attribute__((unused)) void name##_free(const void *object) \
	{ \
		ulpatch_shadow_free(&name, object); \
	} \
	static inline __attribute__((unused)) void name##_release(void) \
	{ \
		ulpatch_shadow_release(&name); \
	}

#define ULPATCH_SHADOW_TABLE(name, objects) \
	static struct ulpatch_shadow_node *name##_buckets[objects] ULPATCH_ZERO_; \
	struct ulpatch_shadow name ULPATCH_DATA_ = {name##_buckets, (objects), 0, NULL, NULL, 0};

/* A node stays in its list for ever; one that was freed has the key 0 and can be
 * taken again. So lists can be walked without a lock. */
struct ulpatch_shadow_node {
	uintptr_t key; /* address of the object */
	struct ulpatch_shadow_node *next;
	char data[] __attribute__((aligned(16)));
};

/* Nodes are cut from chunks. */
struct ulpatch_shadow_chunk {
	struct ulpatch_shadow_chunk *next;
	size_t size;
	char nodes[] __attribute__((aligned(16)));
};

struct ulpatch_shadow {
	struct ulpatch_shadow_node **buckets;
	size_t count;
	int lock; /* of lists that grow */
	struct ulpatch_shadow_chunk *chunks;
	char *fresh; /* what is left of the newest chunk */
	size_t left;
};

static inline __attribute__((unused)) struct ulpatch_shadow_node **ulpatch_shadow_bucket(
	struct ulpatch_shadow *shadow, const void *object)
{
	uint64_t hash = (uint64_t)(uintptr_t)object * 0x9e3779b97f4a7c15u;
	return &shadow->buckets[(hash >> 32) % shadow->count];
}

static inline __attribute__((unused)) struct ulpatch_shadow_node *ulpatch_shadow_find(
	struct ulpatch_shadow *shadow, const void *object, uintptr_t key)
{
	struct ulpatch_shadow_node *node =
		__atomic_load_n(ulpatch_shadow_bucket(shadow, object), __ATOMIC_ACQUIRE);
	while (node && __atomic_load_n(&node->key, __ATOMIC_ACQUIRE) != key)
		node = node->next;
	return node;
}

static inline __attribute__((unused)) void *ulpatch_shadow_get(struct ulpatch_shadow *shadow, const void *object)
{
	struct ulpatch_shadow_node *node;
	if (!object)
		return NULL;
	node = ulpatch_shadow_find(shadow, object, (uintptr_t)object);
	return node ? node->data : NULL;
}

static inline __attribute__((unused)) void ulpatch_shadow_free(struct ulpatch_shadow *shadow, const void *object)
{
	struct ulpatch_shadow_node *node;
	if (!object)
		return;
	node = ulpatch_shadow_find(shadow, object, (uintptr_t)object);
	if (node)
		__atomic_store_n(&node->key, 0, __ATOMIC_RELEASE);
}

/* gcc and clang call a function of libgcc here where the CPU is aarch64, which
 * the process may not have. */
static inline __attribute__((unused)) int ulpatch_shadow_taken(int *lock)
{
#ifdef __aarch64__
	int was, failed;
	do
		__asm__ volatile("ldaxr %w0, %2\n\tstxr %w1, %w3, %2"
				 : "=&r"(was), "=&r"(failed), "+Q"(*lock)
				 : "r"(1)
				 : "memory");
	while (failed);
	return was;
#else
	return __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE);
#endif
}

static inline __attribute__((unused)) struct ulpatch_shadow_node *ulpatch_shadow_cut(
	struct ulpatch_shadow *shadow, size_t size)
{
	const size_t want = (sizeof(struct ulpatch_shadow_node) + size + 15) & ~(size_t)15;
	struct ulpatch_shadow_node *node;
	if (shadow->left < want) {
		const int anonymous = 0x20; /* MAP_ANONYMOUS, which strict C does not name */
		const size_t page = 65536, head = sizeof(struct ulpatch_shadow_chunk);
		size_t bytes = (head + want + page - 1) & ~(page - 1);
		struct ulpatch_shadow_chunk *chunk = (struct ulpatch_shadow_chunk *)mmap(
			NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | anonymous, -1, 0);
		if (chunk == (void *)-1)
			return NULL;
		chunk->next = shadow->chunks;
		chunk->size = bytes;
		shadow->chunks = chunk;
		shadow->fresh = chunk->nodes;
		shadow->left = bytes - head;
	}
	node = (struct ulpatch_shadow_node *)(void *)shadow->fresh;
	shadow->fresh += want;
	shadow->left -= want;
	return node;
}

static inline __attribute__((unused)) void *ulpatch_shadow_get_or_alloc(
	struct ulpatch_shadow *shadow, const void *object, size_t size)
{
	struct ulpatch_shadow_node **bucket, *node;
	void *data = ulpatch_shadow_get(shadow, object);
	if (data || !object)
		return data;
	while (ulpatch_shadow_taken(&shadow->lock))
		sched_yield();
	node = ulpatch_shadow_find(shadow, object, (uintptr_t)object);
	if (node)
		goto unlock; /* another thread was faster */
	node = ulpatch_shadow_find(shadow, object, 0);
	if (node) {
		__builtin_memset(node->data, 0, size);
		__atomic_store_n(&node->key, (uintptr_t)object, __ATOMIC_RELEASE);
		goto unlock;
	}
	node = ulpatch_shadow_cut(shadow, size);
	if (node) {
		bucket = ulpatch_shadow_bucket(shadow, object);
		node->key = (uintptr_t)object;
		node->next = *bucket;
		__atomic_store_n(bucket, node, __ATOMIC_RELEASE);
	}
unlock:
	__atomic_store_n(&shadow->lock, 0, __ATOMIC_RELEASE);
	return node ? node->data : NULL;
}

/* Nobody may use a shadow any more: for a POST_REVERT hook. */
static inline __attribute__((unused)) void ulpatch_shadow_release(struct ulpatch_shadow *shadow)
{
	struct ulpatch_shadow_chunk *chunk = shadow->chunks;
	shadow->chunks = NULL;
	shadow->fresh = NULL;
	shadow->left = 0;
	for (size_t i = 0; i < shadow->count; i++)
		shadow->buckets[i] = NULL;
	while (chunk) {
		struct ulpatch_shadow_chunk *next = chunk->next;
		munmap(chunk, chunk->size);
		chunk = next;
	}
}

#endif
