// SPDX-License-Identifier: Apache-2.0
// Launches of CUDA kernels from Python, a few microseconds each.  Neither CUDA nor torch is linked: the driver is
// opened at the first launch, and tensors are read through the table of C functions that their class offers
// (`__dlpack_c_exchange_api__`, DLPack 1.3).
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace {

constexpr int kCuda = nb::device::cuda::value;
constexpr size_t kMaxArguments = 64, kMaxBytes = 4096;   // of a launch

// The table's layout is that of DLPackExchangeAPI.
struct TensorTable {
    uint32_t major, minor;
    void *previous, *allocate, *take, *give;
    int (*read)(void* object, nb::dlpack::dltensor* tensor);
    int (*current_stream)(int32_t device_type, int32_t device, void** stream);
};

struct Driver {
    int (*launch)(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned shared,
                  void* stream, void** arguments, void** extra);
    int (*get_context)(void** context);
    int (*set_context)(void* context);
    int (*error_name)(int error, const char** name);
};

template <class Function>
void find(Function*& function, void* library, const char* name) {
#ifdef _WIN32
    function = reinterpret_cast<Function*>(GetProcAddress(static_cast<HMODULE>(library), name));
#else
    function = reinterpret_cast<Function*>(dlsym(library, name));
#endif
    if (!function) throw std::runtime_error(std::string("The NVIDIA driver has no ") + name + ": update it.");
}

const Driver& driver() {
    static const Driver opened = [] {
#ifdef _WIN32
        void* library = LoadLibraryA("nvcuda.dll");
#else
        void* library = dlopen("libcuda.so.1", RTLD_NOW);
#endif
        if (!library) throw std::runtime_error("There is no NVIDIA driver on this machine: install one.");
        Driver d;
        find(d.launch, library, "cuLaunchKernel");
        find(d.get_context, library, "cuCtxGetCurrent");
        find(d.set_context, library, "cuCtxSetCurrent");
        find(d.error_name, library, "cuGetErrorName");
        return d;
    }();
    return opened;
}

bool is_contiguous(const nb::dlpack::dltensor& tensor) {
    if (!tensor.strides) return true;
    int64_t expected = 1;
    bool dense = true;
    for (int d = tensor.ndim - 1; d >= 0; --d) {
        if (tensor.shape[d] == 0) return true;
        if (tensor.shape[d] != 1 && tensor.strides[d] != expected) dense = false;
        expected *= tensor.shape[d];
    }
    return dense;
}

struct Three {
    unsigned v[3] = {1, 1, 1};
};

// An int or a tuple of up to three.
Three three(nb::handle size) {
    Three result;
    if (!nb::isinstance<nb::tuple>(size)) {
        result.v[0] = nb::cast<unsigned>(size);
        return result;
    }
    const nb::tuple sizes = nb::borrow<nb::tuple>(size);
    for (size_t k = 0; k < sizes.size() && k < 3; ++k) result.v[k] = nb::cast<unsigned>(sizes[k]);
    return result;
}

// A kernel loaded on one device, whose context is given.
class Kernel {
public:
    // sizes: of the kernel's parameters, bytes.
    Kernel(std::string name, uintptr_t function, uintptr_t context, int device, std::vector<size_t> sizes,
           nb::type_object tensor)
        : name_(std::move(name)), function_(reinterpret_cast<void*>(function)),
          context_(reinterpret_cast<void*>(context)), device_(device), sizes_(std::move(sizes)), tensor_(tensor) {
        const nb::object table = tensor.attr("__dlpack_c_exchange_api__");
        table_ = static_cast<const TensorTable*>(PyCapsule_GetPointer(table.ptr(), "dlpack_exchange_api"));
        if (!table_) throw nb::python_error();
        if (table_->major != 1) throw std::runtime_error("This version of torch is too new: its DLPack is not 1.x.");
        size_t bytes = 0;
        for (const size_t size : sizes_) bytes += size + 16;
        if (sizes_.size() > kMaxArguments || bytes > kMaxBytes)
            throw std::runtime_error(name_ + " has too many parameters.");
    }

    // The name of the driver's error, or None.
    nb::object launch(nb::handle grid, nb::handle block, unsigned shared, nb::tuple arguments) const {
        alignas(16) char bytes[kMaxBytes];
        void* pointers[kMaxArguments];
        const size_t count = sizes_.size();
        if (arguments.size() != count)
            throw nb::value_error((name_ + " takes " + std::to_string(count) + " arguments, not " +
                                   std::to_string(arguments.size()) + ".").c_str());
        char* next = bytes;
        for (size_t k = 0; k < count; ++k) {
            pointers[k] = next;
            pack(arguments[k], k, next);
            next += (sizes_[k] + 15) / 16 * 16;
        }
        const Three g = three(grid), b = three(block);
        void* stream = nullptr;
        if (table_->current_stream(kCuda, device_, &stream)) throw nb::python_error();
        const Driver& cuda = driver();
        // A thread that has not yet used this GPU, as autograd's may be, has another context or none.
        void* before = nullptr;
        cuda.get_context(&before);
        if (before != context_) cuda.set_context(context_);
        const int error = cuda.launch(function_, g.v[0], g.v[1], g.v[2], b.v[0], b.v[1], b.v[2], shared, stream,
                                      pointers, nullptr);
        if (before != context_ && before) cuda.set_context(before);
        if (!error) return nb::none();
        const char* error_name = nullptr;
        cuda.error_name(error, &error_name);
        return nb::str(error_name ? error_name : "an unknown error");
    }

private:
    [[noreturn]] void refuse(size_t place, const std::string& why) const {
        throw nb::value_error(("argument " + std::to_string(place) + " of " + name_ + " " + why + ".").c_str());
    }

    template <class T>
    static void put(char* to, T value) {
        std::memcpy(to, &value, sizeof value);
    }

    void pack(nb::handle value, size_t place, char* to) const {
        const size_t size = sizes_[place];
        if (PyBytes_Check(value.ptr())) {
            if (static_cast<size_t>(PyBytes_Size(value.ptr())) != size)
                refuse(place, "has another size than the kernel's " + std::to_string(size) + " bytes");
            std::memcpy(to, PyBytes_AsString(value.ptr()), size);
            return;
        }
        const size_t natural = pack_scalar(value, place, to);
        if (natural == size) return;
        if (natural == 4 && size == 8 && PyFloat_Check(value.ptr())) {
            put(to, PyFloat_AsDouble(value.ptr()));
        } else if (natural == 4 && size == 8) {
            put(to, integer(value));
        } else {
            refuse(place, std::string("is ") + type_name(value) + ", but the kernel takes " + std::to_string(size) +
                              " bytes there");
        }
    }

    // Pointers have 8 bytes, int and float 4 as far as they alone decide it, bool 1.  Returns how many.
    size_t pack_scalar(nb::handle value, size_t place, char* to) const {
        PyObject* object = value.ptr();
        if (PyType_IsSubtype(Py_TYPE(object), reinterpret_cast<PyTypeObject*>(tensor_.ptr()))) {
            put(to, pointer_to(value, place));
            return 8;
        }
        if (object == Py_None) {
            put(to, static_cast<void*>(nullptr));
            return 8;
        }
        if (PyBool_Check(object)) {
            put(to, object == Py_True);
            return 1;
        }
        if (PyLong_Check(object)) {
            put(to, static_cast<uint32_t>(integer(value)));   // signed or not: the same bits
            return 4;
        }
        if (PyFloat_Check(object)) {
            put(to, static_cast<float>(PyFloat_AsDouble(object)));
            return 4;
        }
        refuse(place, std::string("is ") + type_name(value) + ", which is no kernel type");
    }

    static long long integer(nb::handle value) {
        const long long result = PyLong_AsLongLong(value.ptr());
        if (result == -1 && PyErr_Occurred()) throw nb::python_error();
        return result;
    }

    void* pointer_to(nb::handle value, size_t place) const {
        nb::dlpack::dltensor tensor;
        if (table_->read(value.ptr(), &tensor)) throw nb::python_error();
        if (tensor.device.device_type != kCuda || tensor.device.device_id != device_ || !is_contiguous(tensor)) {
            const nb::object device = value.attr("device"), strides = value.attr("stride")();
            refuse(place, "must be contiguous on cuda:" + std::to_string(device_) + ", not on " +
                              nb::str(device).c_str() + " with strides " + nb::str(strides).c_str());
        }
        return static_cast<char*>(tensor.data) + tensor.byte_offset;
    }

    static std::string type_name(nb::handle value) {
        const nb::object name = value.type().attr("__name__");
        return nb::str(name).c_str();
    }

    std::string name_;
    void *function_, *context_;
    int device_;
    std::vector<size_t> sizes_;
    nb::object tensor_;
    const TensorTable* table_;
};

}  // namespace

void bind_launch(nb::module_& m) {
    nb::class_<Kernel>(m, "Kernel")
        .def(nb::init<std::string, uintptr_t, uintptr_t, int, std::vector<size_t>, nb::type_object>())
        .def("launch", &Kernel::launch);
}
