// The cases of bench/mux for hashicorp/yamux, both ends in this process; prints the CPU seconds taken.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
)

const echoMark = 0x45

var (
	do        = flag.String("do", "send", "send, ping-pong or open-close")
	transport = flag.String("transport", "tcp", "pair, tcp or tls")
	streams   = flag.Int("streams", 1, "streams at once")
	amount    = flag.Int("amount", 1<<20, "bytes, messages or opens, over all streams")
)

func main() {
	flag.Parse()
	a, b := connect()
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	client, err := yamux.Client(a, config)
	check(err)
	server, err := yamux.Server(b, config)
	check(err)
	go serve(server)
	start := cpu()
	switch *do {
	case "send":
		onStreams(client, func(stream net.Conn) { send(stream, *amount / *streams) })
	case "ping-pong":
		onStreams(client, func(stream net.Conn) { pingPong(stream, *amount / *streams) })
	case "open-close":
		for i := 0; i < *amount; i++ {
			stream, err := client.Open()
			check(err)
			_, err = stream.Write([]byte{0})
			check(err)
			finish(stream)
		}
	}
	fmt.Println(cpu() - start)
}

func serve(server *yamux.Session) {
	for {
		stream, err := server.Accept()
		if err != nil {
			return
		}
		go func() {
			first := make([]byte, 1)
			if _, err := io.ReadFull(stream, first); err == nil && first[0] == echoMark {
				stream.Write(first)
				io.Copy(stream, stream)
			} else {
				io.Copy(io.Discard, stream)
			}
			stream.Close()
		}()
	}
}

func onStreams(client *yamux.Session, work func(net.Conn)) {
	var group sync.WaitGroup
	for i := 0; i < *streams; i++ {
		stream, err := client.Open()
		check(err)
		group.Add(1)
		go func() {
			defer group.Done()
			work(stream)
		}()
	}
	group.Wait()
}

func send(stream net.Conn, bytes int) {
	chunk := make([]byte, 64*1024)
	for left := bytes; left > 0; left -= len(chunk) {
		_, err := stream.Write(chunk[:min(left, len(chunk))])
		check(err)
	}
	finish(stream)
}

func pingPong(stream net.Conn, times int) {
	message := make([]byte, 64)
	message[0] = echoMark
	for i := 0; i < times; i++ {
		_, err := stream.Write(message)
		check(err)
		_, err = io.ReadFull(stream, message)
		check(err)
	}
	finish(stream)
}

func finish(stream net.Conn) {
	check(stream.Close())
	_, err := io.Copy(io.Discard, stream)
	check(err)
}

func connect() (net.Conn, net.Conn) {
	if *transport == "pair" {
		return net.Pipe()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	dialled := make(chan net.Conn)
	go func() {
		conn, err := net.Dial("tcp", listener.Addr().String())
		check(err)
		dialled <- conn
	}()
	accepted, err := listener.Accept()
	check(err)
	client := <-dialled
	if *transport == "tcp" {
		return client, accepted
	}
	return tls.Client(client, &tls.Config{InsecureSkipVerify: true}),
		tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{certificate()}})
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
