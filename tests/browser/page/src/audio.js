/** A tone to send, and figures of what is heard. Levels are dBFS of a sine's RMS (full-scale sine: -3.01). */
export class Audio {
  /** @param {number} hz frequency sent; @param {number} amplitude 0..1 */
  static async open(hz, amplitude) {
    const audio = new Audio();
    // Firefox gathers all addresses, loopback included, only for a page that was given the microphone.
    audio.microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    audio.context = new AudioContext({ sampleRate: 48000 });
    await audio.context.resume();
    await audio.context.audioWorklet.addModule(new URL("recorder.js", document.baseURI).href);
    const wave = new OscillatorNode(audio.context, { frequency: hz });
    audio.gain = new GainNode(audio.context, { gain: amplitude });
    audio.sink = new MediaStreamAudioDestinationNode(audio.context, { channelCount: 1 });
    wave.connect(audio.gain).connect(audio.sink);
    wave.start();
    return audio;
  }

  /** The stream to send: a fresh clone, for a library may stop its tracks. */
  stream() {
    return this.sink.stream.clone();
  }

  /** Takes the stream that is heard. Chromium pulls a remote stream only while an element plays it. */
  hear(stream) {
    this.remote = stream;
    const element = document.getElementById("remote");
    element.srcObject = stream;
    element.play().catch(() => {});
  }

  /** Records `ms` of what is heard, and measures it. */
  async measure(ms) {
    if (!this.remote) return { error: "no remote stream" };
    const source = this.context.createMediaStreamSource(this.remote);
    const recorder = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    const blocks = [];
    recorder.port.onmessage = (e) => blocks.push(e.data);
    source.connect(recorder);
    await new Promise((done) => setTimeout(done, ms));
    source.disconnect();
    recorder.port.onmessage = null;
    const samples = new Float32Array(blocks.reduce((n, b) => n + b.length, 0));
    let at = 0;
    for (const block of blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return analyse(samples, this.context.sampleRate);
  }
}

function power(samples, from, to) {
  let sum = 0;
  for (let i = from; i < to; i++) sum += samples[i] * samples[i];
  return sum / Math.max(1, to - from);
}

function goertzel(samples, rate, hz) {
  const c = 2 * Math.cos((2 * Math.PI * hz) / rate);
  let a = 0;
  let b = 0;
  for (const s of samples) [a, b] = [s + c * a - b, a];
  return (2 * (a * a + b * b - c * a * b)) / (samples.length * samples.length);
}

const decibel = (p) => 10 * Math.log10(Math.max(p, 1e-12));

export function analyse(samples, rate) {
  if (samples.length < rate / 10) return { error: "nothing recorded", samples: samples.length };
  // A second in the middle is enough to find the tone, and keeps the search short.
  const middle = samples.subarray(Math.max(0, (samples.length - rate) >> 1), Math.min(samples.length, (samples.length + rate) >> 1));
  let best = { hz: 0, p: 0 };
  for (let hz = 200; hz <= 3400; hz += 10) {
    const p = goertzel(middle.subarray(0, rate / 10), rate, hz);
    if (p > best.p) best = { hz, p };
  }
  for (let hz = best.hz - 10; hz <= best.hz + 10; hz += 1) {
    const p = goertzel(middle, rate, hz);
    if (p > best.p || hz === best.hz - 10) best = { hz, p };
  }
  const total = power(samples, 0, samples.length);
  const window = Math.round(rate / 100);
  let run = 0;
  let longest = 0;
  for (let i = 0; i + window <= samples.length; i += window) {
    run = power(samples, i, i + window) < total / 10 ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return { hz: best.hz, tone_dbfs: decibel(best.p), total_dbfs: decibel(total), longest_gap_ms: longest * 10, seconds: samples.length / rate };
}

/** Figures of a PeerConnection that the tests look at. */
export async function statistics(connection) {
  if (!connection) return { error: "no connection" };
  const figures = {};
  const reports = await connection.getStats();
  reports.forEach((r) => {
    if (r.type === "inbound-rtp" && r.kind === "audio") {
      figures.in = { at: r.timestamp, codec: reports.get(r.codecId)?.mimeType, fmtp: reports.get(r.codecId)?.sdpFmtpLine, packets: r.packetsReceived, lost: r.packetsLost, concealed: r.concealedSamples, silent: r.silentConcealedSamples, total: r.totalSamplesReceived, jitter: r.jitter };
    } else if (r.type === "outbound-rtp" && r.kind === "audio") {
      figures.out = { at: r.timestamp, codec: reports.get(r.codecId)?.mimeType, packets: r.packetsSent, bytes: r.bytesSent };
    } else if (r.type === "remote-inbound-rtp") {
      figures.far = { lost: r.packetsLost, fraction: r.fractionLost, jitter: r.jitter, rtt: r.roundTripTime };
    } else if (r.type === "remote-outbound-rtp") {
      figures.far_out = { packets: r.packetsSent };
    } else if (r.type === "transport") {
      figures.transport = { dtls: r.dtlsState, srtp: r.srtpCipher, tls: r.tlsVersion, ice: r.iceState };
    }
  });
  return figures;
}
