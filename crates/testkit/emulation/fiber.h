// A block of GPU threads on one thread of a CPU: every thread of the block is a fiber, a barrier is "mark me waiting and
// let the others go on". Deterministic. Divergent barriers end the program; threads may be run last to first, which makes
// another result of a kernel that lacks a barrier; shared memory is filled with NaNs before every block.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <setjmp.h>
#include <ucontext.h>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulated {

struct Place { uint32_t x = 1, y = 1, z = 1; };

enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
    ucontext_t context; // to begin with; under a sanitizer always, which watches it
    jmp_buf jump;       // from then on: without the system calls of a context
    bool began;
    State state;
    uint32_t thread;
    void *fake_stack = nullptr;
};

constexpr size_t STACK = 128 << 10;
constexpr uint32_t LANES = 32, SLOT = 64;

struct Block {
    Place grid, place;
    uint32_t threads = 0;
    std::vector<Fiber> fibers;
    Fiber *current = nullptr;
    ucontext_t scheduler;
    jmp_buf scheduler_jump;
    const std::function<void()> *body = nullptr;
    std::unique_ptr<char[]> stacks;
    // What lanes of a warp show each other.
    std::vector<unsigned char> slots;
    // Exactly as much as was asked for, so that a sanitizer sees what lies beyond.
    std::unique_ptr<unsigned char[]> shared;
    size_t shared_size = 0;
    // Barriers of a part of the threads, by number: who has come, in which round, and what any of them said.
    struct Named { uint32_t arrived, round; bool any, last; } named[16];
    // Threads that looked and had to wait again since anything moved.
    uint64_t idle;
    const void *scheduler_stack = nullptr;
    size_t scheduler_size = 0;
    void *scheduler_fake = nullptr;
};

inline thread_local Block *block = nullptr;

inline uint32_t thread_index() { return block->current->thread; }
inline unsigned char *shared_memory() { return block->shared.get(); }

// Not inlined: nothing of the caller may live in registers across the jump.
__attribute__((noinline)) inline void to_scheduler(State state) {
    Fiber *me = block->current;
    me->state = state;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(state == DONE ? nullptr : &me->fake_stack, block->scheduler_stack, block->scheduler_size);
    swapcontext(&me->context, &block->scheduler);
    __sanitizer_finish_switch_fiber(me->fake_stack, nullptr, nullptr);
#else
    if (!_setjmp(me->jump)) _longjmp(block->scheduler_jump, 1);
#endif
}

inline void block_barrier() { to_scheduler(AT_BLOCK); }
inline void warp_barrier() { to_scheduler(AT_WARP); }

// Lets the others go on, and comes back.
inline void yield() {
    if (++block->idle > 100'000'000) {
        fprintf(stderr, "threads of block (%u, %u, %u) wait for what never comes\n", block->place.x, block->place.y, block->place.z);
        abort();
    }
    to_scheduler(READY);
}
// Says that what others wait for may have changed.
inline void moved() { block->idle = 0; }

// Comes to a barrier of this number for so many threads, and says something there.
inline void named_arrive(uint32_t number, uint32_t threads, bool says) {
    Block::Named &b = block->named[number];
    b.any = b.any || says;
    moved();
    if (++b.arrived == threads) {
        b.last = b.any;
        b.any = false;
        b.arrived = 0;
        b.round++;
    }
}
// The same, and waits for all; whether any of them says so.
inline bool named_barrier(uint32_t number, uint32_t threads, bool says) {
    Block::Named &b = block->named[number];
    const uint32_t round = b.round;
    named_arrive(number, threads, says);
    while (b.round == round) yield();
    return b.last;
}

inline void enter() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &block->scheduler_stack, &block->scheduler_size);
#endif
    (*block->body)();
    to_scheduler(DONE);
}

__attribute__((noinline)) inline void resume(Block &b, Fiber &f, uint32_t at) {
    b.current = &f;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&b.scheduler_fake, b.stacks.get() + at * STACK, STACK);
    swapcontext(&b.scheduler, &f.context);
    __sanitizer_finish_switch_fiber(b.scheduler_fake, nullptr, nullptr);
#else
    (void)at;
    if (_setjmp(b.scheduler_jump)) return;
    if (f.began) _longjmp(f.jump, 1);
    f.began = true;
    setcontext(&f.context);
#endif
}

__attribute__((noinline)) inline void prepare(Fiber &f, uint32_t thread, char *stack) {
    f.state = READY;
    f.began = false;
    f.thread = thread;
    f.fake_stack = nullptr;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = stack;
    f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = nullptr;
    makecontext(&f.context, enter, 0);
}

inline void run_block(Block &b, const std::function<void()> &body, bool reverse) {
    block = &b;
    b.body = &body;
    const uint32_t n = b.threads;
    memset(b.shared.get(), 0xff, b.shared_size);
    memset(b.named, 0, sizeof b.named);
    b.idle = 0;
    for (uint32_t i = 0; i < n; i++) prepare(b.fibers[i], i, b.stacks.get() + i * STACK);
    for (;;) {
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t i = reverse ? n - 1 - k : k;
            if (b.fibers[i].state == READY) resume(b, b.fibers[i], i);
        }
        uint32_t done = 0, at_block = 0;
        for (Fiber &f : b.fibers) done += f.state == DONE, at_block += f.state == AT_BLOCK;
        if (done == n) return;
        bool moved = false;
        for (uint32_t first = 0; first < n; first += LANES) {
            const uint32_t end = first + LANES < n ? first + LANES : n;
            uint32_t waiting = 0, alive = 0;
            for (uint32_t i = first; i < end; i++) waiting += b.fibers[i].state == AT_WARP, alive += b.fibers[i].state != DONE;
            if (!waiting || waiting != alive) continue;
            for (uint32_t i = first; i < end; i++)
                if (b.fibers[i].state == AT_WARP) b.fibers[i].state = READY;
            moved = true;
        }
        bool ready = false;
        for (Fiber &f : b.fibers) ready = ready || f.state == READY;
        if (moved || ready) continue;
        if (at_block == n) {
            for (Fiber &f : b.fibers) f.state = READY;
            continue;
        }
        fprintf(stderr, "divergent barrier in block (%u, %u, %u): %u of %u threads wait for the block, %u are done\n", b.place.x,
                b.place.y, b.place.z, at_block, n, done);
        abort();
    }
}

inline void run(Place grid, uint32_t threads, size_t shared, bool reverse, const std::function<void()> &body) {
    Block b;
    b.grid = grid;
    b.threads = threads;
    b.fibers.resize(threads);
    b.stacks.reset(new char[STACK * threads]);
    b.slots.resize((size_t)SLOT * threads);
    b.shared.reset(new unsigned char[shared ? shared : 1]);
    b.shared_size = shared;
    for (uint32_t z = 0; z < grid.z; z++)
        for (uint32_t y = 0; y < grid.y; y++)
            for (uint32_t x = 0; x < grid.x; x++) {
                b.place = {x, y, z};
                run_block(b, body, reverse);
            }
    block = nullptr;
}

// Hands `f` what all lanes of the warp hold.
template <class T, class F> void with_warp(const T &mine, F f) {
    static_assert(sizeof(T) <= SLOT, "a lane's slot");
    const uint32_t thread = thread_index();
    // One slot after the other, without gaps, so that they are an array of T.
    unsigned char *first = block->slots.data() + (size_t)(thread / LANES * LANES) * SLOT;
    memcpy(first + (thread % LANES) * sizeof(T), &mine, sizeof(T));
    warp_barrier();
    f((const T *)first);
    warp_barrier();
}

// The value that another lane of the warp has.
template <class T> T of_lane(T mine, uint32_t lane) {
    T theirs = mine;
    with_warp(mine, [&](const T *all) { theirs = all[lane % LANES]; });
    return theirs;
}

} // namespace emulated
