// SPDX-License-Identifier: Apache-2.0
// A pack of neighbouring pixels worked on together: the scalar formulas of math/ run on it unchanged.
// On GCC and Clang this is the compiler's own vector type (AVX2: 8 floats; SSE2 and NEON: 4); elsewhere an array.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "blend.h"

#if defined(__GNUC__) || defined(__clang__)
#define MILO_VECTOR_TYPES 1
#define MILO_INLINE inline __attribute__((always_inline))
#define MILO_INLINE_LAMBDA __attribute__((always_inline))
#define MILO_PREFETCH(address) __builtin_prefetch(address)
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"   // every function here is inlined: there is no calling convention
#endif
#else
#define MILO_VECTOR_TYPES 0
#define MILO_INLINE __forceinline
#define MILO_INLINE_LAMBDA
#define MILO_PREFETCH(address) ((void)(address))
#endif

// Before a loop whose iterations touch different memory.
#if defined(__clang__)
#define MILO_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define MILO_INDEPENDENT _Pragma("GCC ivdep")
#else
#define MILO_INDEPENDENT
#endif

namespace milo {

#if defined(__AVX__)
constexpr int kLaneBytes = 32;
#else
constexpr int kLaneBytes = 16;
#endif

template <class T>
struct LaneInt;
template <>
struct LaneInt<float> { using type = int32_t; };
template <>
struct LaneInt<double> { using type = int64_t; };

#if MILO_VECTOR_TYPES

template <class T>
struct Mask {
    typedef typename LaneInt<T>::type Raw __attribute__((vector_size(kLaneBytes)));
    Raw v;
};

template <class T>
struct Lanes {
    typedef T Raw __attribute__((vector_size(kLaneBytes)));
    static constexpr int count = kLaneBytes / sizeof(T);
    Raw v;

    Lanes() = default;
    MILO_INLINE Lanes(T s) : v(s - Raw{}) {}   // s - 0 is s, also for -0: no instruction
    template <class S, class = decltype(T(S()))>
    MILO_INLINE explicit Lanes(S s) : v(T(s) - Raw{}) {}
    MILO_INLINE static Lanes from(Raw raw) { Lanes l; l.v = raw; return l; }
    MILO_INLINE static Lanes load(const T* p) { Lanes l; std::memcpy(&l.v, p, sizeof(Raw)); return l; }
    MILO_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof(Raw)); }
    MILO_INLINE static Lanes iota() { Lanes l; for (int i = 0; i < count; ++i) l.v[i] = T(i); return l; }

    friend MILO_INLINE Lanes operator+(Lanes a, Lanes b) { return from(a.v + b.v); }
    friend MILO_INLINE Lanes operator-(Lanes a, Lanes b) { return from(a.v - b.v); }
    friend MILO_INLINE Lanes operator*(Lanes a, Lanes b) { return from(a.v * b.v); }
    friend MILO_INLINE Lanes operator/(Lanes a, Lanes b) { return from(a.v / b.v); }
    friend MILO_INLINE Lanes operator-(Lanes a) { return from(-a.v); }
    friend MILO_INLINE Lanes& operator+=(Lanes& a, Lanes b) { a.v += b.v; return a; }
    friend MILO_INLINE Lanes& operator-=(Lanes& a, Lanes b) { a.v -= b.v; return a; }
    friend MILO_INLINE Mask<T> operator<(Lanes a, Lanes b) { return {a.v < b.v}; }
    friend MILO_INLINE Mask<T> operator>(Lanes a, Lanes b) { return {a.v > b.v}; }
    friend MILO_INLINE Mask<T> operator>=(Lanes a, Lanes b) { return {a.v >= b.v}; }
    friend MILO_INLINE Mask<T> operator==(Lanes a, Lanes b) { return {a.v == b.v}; }
};

template <class T>
MILO_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) { return {a.v & b.v}; }
template <class T>
MILO_INLINE Lanes<T> select(Mask<T> m, Lanes<T> a, Lanes<T> b) { return Lanes<T>::from(m.v ? a.v : b.v); }
template <class T>
MILO_INLINE typename Mask<T>::Raw sign_bit() {
    using I = typename LaneInt<T>::type;
    return typename Mask<T>::Raw{} + static_cast<I>(I(1) << (8 * sizeof(T) - 1));
}
template <class T>
MILO_INLINE Lanes<T> magnitude(Lanes<T> a) {
    return Lanes<T>::from((typename Lanes<T>::Raw)((typename Mask<T>::Raw)a.v & ~sign_bit<T>()));
}
template <class T>
MILO_INLINE Lanes<T> negative(Lanes<T> a) {   // -|a|
    return Lanes<T>::from((typename Lanes<T>::Raw)((typename Mask<T>::Raw)a.v | sign_bit<T>()));
}

namespace detail {

// Lane i: a[i] + a[i^stride] where bit `stride` of i is clear, else b[i] + b[i^stride].
template <int stride, class T, int... i>
MILO_INLINE Lanes<T> pair_sum(Lanes<T> a, Lanes<T> b, std::integer_sequence<int, i...>) {
    constexpr int n = Lanes<T>::count;
    return Lanes<T>::from(__builtin_shufflevector(a.v, b.v, ((i & stride) ? n + (i & ~stride) : i)...) +
                          __builtin_shufflevector(a.v, b.v, ((i & stride) ? n + i : (i | stride))...));
}

template <int stride, class T>
MILO_INLINE Lanes<T> tree_sum(const Lanes<T>* a) {   // 2 * stride packs
    constexpr auto all = std::make_integer_sequence<int, Lanes<T>::count>();
    if constexpr (stride == 1)
        return pair_sum<1>(a[0], a[1], all);
    else
        return pair_sum<stride>(tree_sum<stride / 2>(a), tree_sum<stride / 2>(a + stride), all);
}

}  // namespace detail

// out[k] += sum of the lanes of a[k], k < n, a multiple of the lane count.
template <int n, class T>
MILO_INLINE void add_sums(const Lanes<T>* a, T* out) {
    constexpr int w = Lanes<T>::count;
    static_assert(n % w == 0);
    for (int k = 0; k < n; k += w) (Lanes<T>::load(out + k) + detail::tree_sum<w / 2>(a + k)).store(out + k);
}

#else

template <class T>
struct Mask {
    bool v[kLaneBytes / sizeof(T)];
};

template <class T>
struct Lanes {
    static constexpr int count = kLaneBytes / sizeof(T);
    T v[count];

    Lanes() = default;
    Lanes(T s) { for (int i = 0; i < count; ++i) v[i] = s; }
    template <class S, class = decltype(T(S()))>
    explicit Lanes(S s) : Lanes(T(s)) {}
    static Lanes load(const T* p) { Lanes l; for (int i = 0; i < count; ++i) l.v[i] = p[i]; return l; }
    void store(T* p) const { for (int i = 0; i < count; ++i) p[i] = v[i]; }
    static Lanes iota() { Lanes l; for (int i = 0; i < count; ++i) l.v[i] = T(i); return l; }

    template <class F>
    friend MILO_INLINE Lanes each(Lanes a, Lanes b, F f) {
        for (int i = 0; i < count; ++i) a.v[i] = f(a.v[i], b.v[i]);
        return a;
    }
    template <class F>
    friend MILO_INLINE Mask<T> test(Lanes a, Lanes b, F f) {
        Mask<T> m;
        for (int i = 0; i < count; ++i) m.v[i] = f(a.v[i], b.v[i]);
        return m;
    }
    friend MILO_INLINE Lanes operator+(Lanes a, Lanes b) { return each(a, b, [](T x, T y) { return x + y; }); }
    friend MILO_INLINE Lanes operator-(Lanes a, Lanes b) { return each(a, b, [](T x, T y) { return x - y; }); }
    friend MILO_INLINE Lanes operator*(Lanes a, Lanes b) { return each(a, b, [](T x, T y) { return x * y; }); }
    friend MILO_INLINE Lanes operator/(Lanes a, Lanes b) { return each(a, b, [](T x, T y) { return x / y; }); }
    friend MILO_INLINE Lanes operator-(Lanes a) { return each(a, a, [](T x, T) { return -x; }); }
    friend MILO_INLINE Lanes& operator+=(Lanes& a, Lanes b) { return a = a + b; }
    friend MILO_INLINE Lanes& operator-=(Lanes& a, Lanes b) { return a = a - b; }
    friend MILO_INLINE Mask<T> operator<(Lanes a, Lanes b) { return test(a, b, [](T x, T y) { return x < y; }); }
    friend MILO_INLINE Mask<T> operator>(Lanes a, Lanes b) { return test(a, b, [](T x, T y) { return x > y; }); }
    friend MILO_INLINE Mask<T> operator>=(Lanes a, Lanes b) { return test(a, b, [](T x, T y) { return x >= y; }); }
    friend MILO_INLINE Mask<T> operator==(Lanes a, Lanes b) { return test(a, b, [](T x, T y) { return x == y; }); }
};

template <class T>
MILO_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) {
    for (int i = 0; i < Lanes<T>::count; ++i) a.v[i] = a.v[i] && b.v[i];
    return a;
}
template <class T>
MILO_INLINE Lanes<T> select(Mask<T> m, Lanes<T> a, Lanes<T> b) {
    for (int i = 0; i < Lanes<T>::count; ++i) a.v[i] = m.v[i] ? a.v[i] : b.v[i];
    return a;
}
template <class T>
MILO_INLINE Lanes<T> magnitude(Lanes<T> a) { return each(a, a, [](T x, T) { return std::abs(x); }); }
template <class T>
MILO_INLINE Lanes<T> negative(Lanes<T> a) { return each(a, a, [](T x, T) { return -std::abs(x); }); }

template <int n, class T>
MILO_INLINE void add_sums(const Lanes<T>* a, T* out) {
    for (int k = 0; k < n; ++k)
        for (int i = 0; i < Lanes<T>::count; ++i) out[k] += a[k].v[i];
}

#endif

template <class T>
MILO_INLINE T sum_of(Lanes<T> a) {
    T lanes[Lanes<T>::count], sum = T(0);
    a.store(lanes);
    for (const T lane : lanes) sum += lane;
    return sum;
}

template <class T>
MILO_INLINE Lanes<T> smaller(Lanes<T> a, Lanes<T> b) { return select(a < b, a, b); }
template <class T>
MILO_INLINE Lanes<T> larger(Lanes<T> a, Lanes<T> b) { return select(a > b, a, b); }

template <class T>
MILO_INLINE Lanes<T> square_root(Lanes<T> x) {
    for (int i = 0; i < Lanes<T>::count; ++i) x.v[i] = std::sqrt(x.v[i]);
    return x;
}

MILO_INLINE Lanes<double> exponential2(Lanes<double> x) {
    for (int i = 0; i < Lanes<double>::count; ++i) x.v[i] = std::exp2(x.v[i]);
    return x;
}

// 2^x within 1.5 ulp for -126 <= x < 128, anything elsewhere: x = n + r, a minimax polynomial in r, n to the exponent.
MILO_INLINE Lanes<float> exponential2(Lanes<float> x) {
    using V = Lanes<float>;
    const V round = V(12582912.f);   // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const V shifted = x + round;
    const V r = x - (shifted - round);
    const V high = V(0.009618490f) + r * (V(0.0013399997f) + r * V(0.00015345754f));
    const V p = V(1.f) + r * (V(0.69314718f) + r * (V(0.24022646f) + r * (V(0.055503286f) + r * high)));
#if MILO_VECTOR_TYPES
    using I = Mask<float>::Raw;
    return V::from((V::Raw)(((I)shifted.v << 23) + (I)p.v));
#else
    V out;
    for (int i = 0; i < V::count; ++i) {
        uint32_t exponent, bits;
        std::memcpy(&exponent, &shifted.v[i], 4);
        std::memcpy(&bits, &p.v[i], 4);
        bits += exponent << 23;
        std::memcpy(&out.v[i], &bits, 4);
    }
    return out;
#endif
}

}  // namespace milo
