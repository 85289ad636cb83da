//! Rust's standard library: threads, channels, locks, panics that are caught, sockets, files.
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

struct Told(u32);

impl Drop for Told {
    fn drop(&mut self) {
        println!("drop {}", self.0);
    }
}

fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

fn threads() {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let all: Vec<_> = (0..8)
        .map(|i| {
            let counts = counts.clone();
            thread::spawn(move || {
                for k in 0..200 {
                    *counts.lock().unwrap().entry(k % 10).or_insert(0) += i;
                }
                fibonacci(15)
            })
        })
        .collect();
    let sum: u64 = all.into_iter().map(|each| each.join().unwrap()).sum();
    println!("{} {:?}", sum, counts.lock().unwrap());

    let (sender, receiver) = mpsc::channel();
    for i in 0..4 {
        let sender = sender.clone();
        thread::spawn(move || {
            for k in 0..10 {
                sender.send(i * k).unwrap();
                thread::sleep(Duration::from_micros(50));
            }
        });
    }
    drop(sender);
    println!("received {}", receiver.iter().sum::<i32>());

    let barrier = Arc::new(Barrier::new(4));
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let barrier = barrier.clone();
            thread::spawn(move || barrier.wait().is_leader() as u32)
        })
        .collect();
    println!("leaders {}", waiting.into_iter().map(|each| each.join().unwrap()).sum::<u32>());

    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    thread::spawn(move || {
        *other.0.lock().unwrap() = true;
        other.1.notify_one();
    });
    let ready = pair.1.wait_while(pair.0.lock().unwrap(), |ready| !*ready).unwrap();
    println!("ready {}", *ready);
    let shared = RwLock::new(5);
    let (one, two) = (shared.read().unwrap(), shared.read().unwrap());
    println!("shared {}", *one + *two);
}

fn panics() {
    let caught = std::panic::catch_unwind(|| {
        let _told = Told(1);
        let none: Vec<i32> = vec![];
        none[3]
    });
    println!("caught {}", caught.is_err());
    let died = thread::spawn(|| panic!("in a thread")).join();
    println!("{:?}", died.unwrap_err().downcast_ref::<&str>());
}

fn sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).unwrap();
            bytes.reverse();
            stream.write_all(&bytes).unwrap();
        }
    });
    for i in 0..3 {
        let mut client = TcpStream::connect(address).unwrap();
        write!(client, "abc{:02}", i).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        println!("{}", answer);
    }
    server.join().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    println!("{:?}", silent.recv_from(&mut [0; 4]).map_err(|error| error.kind()));
}

fn files() {
    let folder = std::env::temp_dir().join(format!("mtemu-rust-{}", std::process::id()));
    let name = folder.join("a/f");
    std::fs::create_dir_all(folder.join("a/b")).unwrap();
    std::fs::write(&name, "x\ny\n").unwrap();
    println!("{:?} {}", std::fs::read_to_string(&name), std::fs::metadata(&name).unwrap().len());
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{:?}", std::fs::File::open(&name).map_err(|error| error.kind()).err());
}

fn main() {
    let begin = Instant::now();
    threads();
    panics();
    sockets();
    files();
    let squares: HashMap<u64, u64> = (0..5000).map(|i| (i, i * i)).collect();
    println!("{}", squares.values().sum::<u64>());
    let mut values: Vec<f64> = (0..5000).map(|i| ((i * 7919) % 5003) as f64 / 3.0).collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    println!("{:.6} {:e}", values[2500], values[7]);
    println!("quick {}", begin.elapsed() < Duration::from_secs(60));
    let _told = Told(2);
    let end: Result<i32, String> = Err("the end".into());
    end.unwrap();
}
