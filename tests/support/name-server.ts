/** What a name server says that knows every name. */

/** An answer to any question for an address: 10.0.2.2. Others have none (RFC 1035 4.1). */
export function answerTo(question: Buffer): Buffer {
  let end = 12;
  while (question[end] !== 0) end += question[end]! + 1;
  end += 5;
  const isAddress = question.readUInt16BE(end - 4) === 1;
  const header = Buffer.from(question.subarray(0, end));
  header[2] = 0x84 | (question[2]! & 1);
  header[3] = 0;
  header.writeUInt16BE(isAddress ? 1 : 0, 6);
  header.fill(0, 8, 12);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 2, 2]);
  return isAddress ? Buffer.concat([header, record]) : header;
}
