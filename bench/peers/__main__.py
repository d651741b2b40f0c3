"""`python -m bench.peers`: build the clients that have to be built; one that fails is named and left out."""

from bench.peers import PEERS


def main() -> None:
    for peer in PEERS.values():
        if peer.builds:
            print(f"{peer.name}: ", end="", flush=True)
            why = peer.build()
            print("ready" if why is None else f"absent: {why}")


if __name__ == "__main__":
    main()
