/* C++'s library: exceptions through frames and threads, futures, locks, regular expressions, files, sorting,
 * formatting. */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <typeinfo>
#include <unistd.h>
#include <unordered_map>
#include <vector>
namespace fs = std::filesystem;
struct D {
    int n;
    ~D() { std::cout << "~D" << n << "\n"; }
};
int deep(int n) {
    D d{n};
    if (n == 0)
        throw std::out_of_range("deep");
    return deep(n - 1) + 1;
}
thread_local int tl = 5;
int main() {
    try {
        deep(3);
    } catch (const std::logic_error &e) {
        std::cout << "caught " << typeid(e).name() << " " << e.what() << "\n";
    }
    try {
        std::async(std::launch::async, [] {
            throw 42;
            return 1;
        }).get();
    } catch (int i) {
        std::cout << "async " << i << "\n";
    }
    std::vector<std::thread> t;
    std::atomic<long> sum{0};
    std::mutex m;
    std::map<int, int> hist;
    for (int i = 0; i < 8; i++)
        t.emplace_back([&, i] {
            tl += i;
            for (int k = 0; k < 2000; k++) {
                sum += k;
                if (k % 100 == 0) {
                    std::lock_guard g(m);
                    hist[k / 100]++;
                }
            }
            std::lock_guard g(m);
            hist[100 + tl]++;
        });
    for (auto &x : t)
        x.join();
    std::cout << sum << " " << hist.size() << " " << tl << "\n";
    std::condition_variable cv;
    bool ready = false;
    std::thread w([&] {
        std::unique_lock l(m);
        cv.wait(l, [&] { return ready; });
        std::cout << "woken\n";
    });
    {
        std::lock_guard g(m);
        ready = true;
    }
    cv.notify_all();
    w.join();
    {
        std::unique_lock l(m);
        auto r = cv.wait_for(l, std::chrono::milliseconds(5));
        std::cout << (r == std::cv_status::timeout) << "\n";
    }
    std::shared_mutex sm;
    {
        std::shared_lock a(sm), b(sm);
        std::cout << sm.try_lock() << "\n";
    }
    std::mt19937_64 g(5);
    std::uniform_real_distribution<> u;
    double s = 0;
    for (int i = 0; i < 10000; i++)
        s += u(g);
    std::cout << std::setprecision(17) << s << "\n";
    std::regex re("(\\w+)@(\\w+)\\.com");
    std::string str = "a@b.com, foo@bar.com";
    for (std::sregex_iterator i(str.begin(), str.end(), re), e; i != e; ++i)
        std::cout << (*i)[1] << "|" << (*i)[2] << "\n";
    auto dir = fs::temp_directory_path() / ("mtemu-cxx-" + std::to_string(getpid()));
    fs::create_directories(dir / "x/y");
    std::ofstream(dir / "x/f") << "hello\n" << 1.5L;
    {
        std::ifstream f(dir / "x/f");
        std::string l;
        while (std::getline(f, l))
            std::cout << l << "\n";
    }
    std::vector<std::string> names;
    for (auto &e : fs::recursive_directory_iterator(dir))
        names.push_back(fs::relative(e.path(), dir).string());
    std::sort(names.begin(), names.end());
    for (auto &n : names)
        std::cout << n << "\n";
    fs::rename(dir / "x/f", dir / "g");
    std::cout << fs::file_size(dir / "g") << fs::exists(dir / "x/f") << "\n";
    fs::create_symlink("g", dir / "l");
    std::cout << fs::read_symlink(dir / "l") << fs::remove_all(dir) << "\n";
    std::error_code ec;
    fs::remove(dir / "none/none", ec);
    std::cout << ec << "\n";
    std::unordered_map<std::string, int> um;
    for (int i = 0; i < 20000; i++)
        um["k" + std::to_string(i % 5000)] += i;
    long q = 0;
    for (auto &[k, v] : um)
        q += v;
    std::cout << q << "\n";
    std::vector<double> v(100000);
    std::iota(v.begin(), v.end(), 0);
    std::shuffle(v.begin(), v.end(), g);
    std::sort(v.begin(), v.end());
    std::cout << v[777] << " " << std::accumulate(v.begin(), v.end(), 0.0) << "\n";
    std::cout << std::hex << 255 << std::dec << std::scientific << 12345.678 << std::fixed << 1e20 << "\n";
    std::packaged_task<int(int)> pt([](int x) { return x * 2; });
    auto f = pt.get_future();
    std::thread(std::move(pt), 21).join();
    std::cout << f.get() << "\n";
    auto sp = std::make_shared<D>(D{99});
    std::weak_ptr<D> wp = sp;
    sp.reset();
    std::cout << wp.expired() << "\n";
    std::set_terminate([] {
        std::cout << "terminate\n" << std::flush;
        _Exit(7);
    });
    throw std::runtime_error("end");
}
